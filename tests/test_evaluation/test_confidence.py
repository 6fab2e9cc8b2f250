import numpy as np
import pytest

from nclr_plugin.evaluation import auroc


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
