"""What the metrics made of sums over frames have in common, and the statistics of sums."""
import numpy as np
import pytest

from nclr_plugin.evaluation import AlignmentMetric, MatchingMetric, OverlapMetric
from nclr_plugin.evaluation.frame_sum_metric import (histogram, histogram_median, mean_std, moments,
                                                     ratio)

METRICS = (AlignmentMetric, MatchingMetric, OverlapMetric)


@pytest.mark.parametrize('metric', METRICS)
def test_frames_with_mismatched_images_do_not_count(make_samples, evaluate, metric):
    frames = make_samples(0, 5)
    control = make_samples(1, 5, mismatched_image=True)
    assert evaluate(metric(), frames + control) == evaluate(metric(), frames)


@pytest.mark.parametrize('metric', METRICS)
def test_without_the_fields_the_figures_are_left_out(make_samples, evaluate, metric, log):
    assert evaluate(metric(), make_samples(2, 3, overlap=False, matchings=False)) == {}
    assert len(log) == 1 and log[0].startswith(f'{metric.__name__}: no predictions of ')


@pytest.mark.parametrize('metric', METRICS)
def test_nothing_to_evaluate_is_an_error(make_samples, evaluate, metric):
    with pytest.raises(ValueError, match=f'{metric.__name__}: no frame to evaluate'):
        evaluate(metric(), [])
    with pytest.raises(ValueError, match=r'found 2 frames, all with mismatched_image set'):
        evaluate(metric(), make_samples(3, 2, mismatched_image=True))


def test_moments_of_parts_add_up():
    values = np.random.default_rng(0).normal(3, 2, 500)
    parts = [moments(part) for part in np.split(values, [0, 10, 300])]
    total = {name: sum(part[name] for part in parts) for name in parts[0]}
    assert mean_std(total) == pytest.approx((values.mean(), values.std()), rel=1e-12)


def test_deviation_of_equal_values_is_a_number():
    mean, std = mean_std(moments(np.full(7, 0.1)))
    assert mean == pytest.approx(0.1) and 0 <= std < 1e-6


def test_of_nothing_is_not_a_number():
    assert np.isnan(mean_std(moments([]))).all()
    assert np.isnan(histogram_median(np.zeros(3), np.arange(4)))
    assert np.isnan(ratio(0, 0)) and ratio(1, 4) == 0.25


def test_bins_hold_exactly_what_is_above_their_edge():
    edges = np.arange(1, 10) / 10
    values = np.concatenate((np.random.default_rng(1).random(300), edges, [0., 1., -3., 7.]))
    counts = histogram(values, edges)
    assert counts.sum() == len(values)
    for index, edge in enumerate(edges):
        assert counts[index + 1:].sum() == (values > edge).sum()


def test_median_is_right_to_the_width_of_a_bin():
    edges = np.linspace(0, 50, 101)
    for seed in range(5):
        values = np.random.default_rng(seed).gamma(2, 4, 401).clip(max=50)
        counts = histogram(values, edges[1:-1])
        assert histogram_median(counts, edges) == pytest.approx(np.median(values), abs=0.5)
