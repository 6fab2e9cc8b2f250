import numpy as np
import pytest

from nclr_plugin.evaluation import recall_curve


def test_agrees_with_counting():
    rng = np.random.default_rng(0)
    errors, valid = rng.gamma(2, 3, 200), rng.random(200) < 0.8
    errors[:3] = 5., np.nan, np.inf
    thresholds = np.concatenate((np.linspace(0, 10, 41), [5.]))
    expected = [sum(e < t and v for e, v in zip(errors, valid)) / 200 for t in thresholds]
    np.testing.assert_allclose(recall_curve(errors, valid, thresholds), expected)


def test_an_error_at_the_threshold_is_a_miss():
    assert recall_curve([1.], [True], [1., np.nextafter(1., 2.)]).tolist() == [0, 1]


def test_failures_are_misses_at_every_threshold():
    assert recall_curve([0., 0.], [False, False], [1., np.inf]).tolist() == [0, 0]
    assert recall_curve([0., 0.], [False, True], [1., np.inf]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize('errors, valid', [([], []), ([1.], [True, False]), ([[1.]], [[True]])])
def test_refuses_other_shapes(errors, valid):
    with pytest.raises(ValueError, match='of the same shape'):
        recall_curve(errors, valid, [1.])
