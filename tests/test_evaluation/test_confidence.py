import numpy as np
import pytest

from nclr_plugin.evaluation import auroc, rejection


def of_pairs(scores, success):
    """Every pair of a success and a failure."""
    good, bad = scores[success], scores[~success]
    return np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad])


@pytest.mark.parametrize('decimals', [12, 1, 0])  # few to many ties
def test_agrees_with_comparing_every_pair(decimals):
    rng = np.random.default_rng(decimals)
    success = rng.random(60) < 0.4
    scores = np.round(rng.random(60) + 0.3 * success, decimals)
    assert auroc(scores, success) == pytest.approx(of_pairs(scores, success), abs=1e-12)


def test_of_separated_reversed_and_constant_scores():
    success = np.array([False, False, True, True])
    assert auroc([0, 1, 2, 3], success) == 1
    assert auroc([3, 2, 1, 0], success) == 0
    assert auroc([1, 1, 1, 1], success) == 0.5


@pytest.mark.parametrize('scores, success', [
    ([1., 2.], [True, True]), ([1., 2.], [False, False]), ([], []), ([np.nan, 1.], [True, False])])
def test_is_not_a_number_where_it_means_nothing(scores, success):
    assert np.isnan(auroc(scores, success))


def test_scores_without_a_lower_bound():
    """A view without a pose has the score -inf."""
    rng = np.random.default_rng(0)
    success = rng.random(60) < 0.4
    scores = np.where(rng.random(60) < 0.3, -np.inf, rng.random(60))
    pairs = [(g > b) + 0.5 * (g == b) for g in scores[success] for b in scores[~success]]
    assert auroc(scores, success) == pytest.approx(np.mean(pairs))
    found = rejection(scores, success, 0.9)
    assert found.thresholds[-1] == -np.inf and np.isfinite(found.thresholds[:-1]).all()


@pytest.mark.parametrize('decimals', [12, 1])
@pytest.mark.parametrize('accepted', [0.5, 0.9, 1.])
def test_rejection_agrees_with_counting(decimals, accepted):
    rng = np.random.default_rng(3)
    true = rng.random(80) < 0.5
    scores = np.round(rng.random(80) + 0.5 * true, decimals)
    found = rejection(scores, true, accepted)
    assert found.thresholds.tolist() == sorted(set(scores.tolist()), reverse=True)
    for rates, kind in ((found.accepted_true, true), (found.accepted_other, ~true)):
        np.testing.assert_allclose(rates, [np.mean(scores[kind] >= t) for t in found.thresholds])
    assert found.threshold == max(t for t in scores if np.mean(scores[true] >= t) >= accepted)
    assert found.rejected == pytest.approx(np.mean(scores[~true] < found.threshold))


@pytest.mark.parametrize('scores, true', [
    ([1., 2.], [True, True]), ([1., 2.], [False, False]), ([], []), ([np.nan, 1.], [True, False])])
def test_rejection_refuses_what_means_nothing(scores, true):
    with pytest.raises(ValueError, match='expected scores of true and of other pairs'):
        rejection(scores, true)
