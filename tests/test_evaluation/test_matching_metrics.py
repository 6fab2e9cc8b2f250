import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import AlignmentMetric, MatchingMetric, OverlapMetric
from nclr_plugin.evaluation.matching_metrics import (histogram, histogram_median, mean_std, moments,
                                                     ratio)

METRICS = (AlignmentMetric, MatchingMetric, OverlapMetric)
METHODS = ('cosine_hard', 'cosine_soft', 'learned_hard', 'learned_soft')


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


def of_threshold(score, truth, threshold):
    """Precision, recall and IoU of what scores above a threshold."""
    chosen = score > threshold
    both = (chosen & truth).sum()
    return both / chosen.sum(), both / truth.sum(), both / (chosen | truth).sum()


@pytest.mark.parametrize('thresholds', [(0.25, 0.4), (0.5, 0.07)])
def test_overlap_agrees_with_brute_force(make_samples, evaluate, thresholds):
    frames = make_samples(0, 12, thresholds=thresholds)
    found = evaluate(OverlapMetric(), frames)
    for side, threshold in zip(('point', 'pixel'), thresholds):
        score = np.concatenate([s.get(f'pred_{side}_overlap').numpy().ravel() for s in frames])
        truth = np.concatenate([s.get(f'gt_{side}_overlap').numpy().ravel() for s in frames])
        expected = of_threshold(score, truth, np.float32(threshold))
        for name, value in zip(('precision', 'recall', 'iou'), expected):
            assert found[f'overlap/{side}_{name}'] == pytest.approx(value), name
        grid = np.arange(1, 100) / 100
        ious = [of_threshold(score.astype(np.float64), truth, t)[2] for t in grid]
        assert found[f'overlap/{side}_best_iou'] == pytest.approx(max(ious))
        assert found[f'overlap/{side}_best_threshold'] == pytest.approx(grid[np.argmax(ious)])
        assert found[f'overlap/{side}_share'] == pytest.approx(truth.mean())
    assert len(found) == 12


def test_the_threshold_itself_is_not_above_it(make_samples, evaluate):
    sample = make_samples(1, 1)[0]
    sample.overlap_thresholds = torch.tensor([0.3, 0.3])
    sample.pred_point_overlap = torch.full_like(sample.pred_point_overlap, 0.3)
    found = evaluate(OverlapMetric(), [sample])
    assert found['overlap/point_recall'] == 0 and np.isnan(found['overlap/point_precision'])


def test_no_overlap(make_samples, evaluate):
    sample = make_samples(2, 1)[0]
    sample.gt_point_overlap = torch.zeros_like(sample.gt_point_overlap)
    found = evaluate(OverlapMetric(), [sample])
    assert found['overlap/point_precision'] == found['overlap/point_share'] == 0
    assert found['overlap/point_iou'] == 0
    for name in ('recall', 'best_iou', 'best_threshold'):
        assert np.isnan(found[f'overlap/point_{name}'])
    assert np.isfinite(found['overlap/pixel_recall'])


def test_without_an_overlap_head_the_figures_are_left_out(make_samples, evaluate, log):
    assert evaluate(OverlapMetric(), make_samples(3, 4, overlap=False)) == {}
    assert log == ['OverlapMetric: no predictions of point_overlap, pixel_overlap, whose figures '
                   'are left out; they need a model with an overlap head.']


def test_labels_of_another_shape_are_an_error(make_samples):
    sample = make_samples(4, 1)[0]
    sample.gt_point_overlap = sample.gt_point_overlap[:, :-1]
    with pytest.raises(ValueError, match=r'shape of the predictions, \(\d, 50\), found \(\d, 49\)'):
        OverlapMetric().process(None, [sample.to_dict()])


def test_table_of_overlap_has_both_sides(make_samples, evaluate, log):
    found = evaluate(OverlapMetric(), make_samples(5, 4))
    lines = log[0].splitlines()
    assert lines[0].split()[-2:] == ['points', 'pixels']
    best = next(line for line in lines if line.startswith('best IoU'))
    assert best.split()[-2:] == [f"{found['overlap/point_best_iou']:.3f}",
                                 f"{found['overlap/pixel_best_iou']:.3f}"]


def matching_errors(frames, method):
    """Errors of all points, one by one."""
    return np.array([
        np.hypot(*(found.double().numpy() - true.double().numpy()))
        for sample in frames for view in sample.matchings
        for found, true in zip(view.get(method), view.true_pixels)])


@pytest.mark.parametrize('accuracy_px', [5., 2.5])
def test_matching_errors_agree_with_brute_force(make_samples, evaluate, accuracy_px):
    frames = make_samples(0, 12)
    found = evaluate(MatchingMetric(accuracy_px=accuracy_px), frames)
    for method in METHODS:
        errors = matching_errors(frames, method)
        name = f'matching/{method}'
        assert found[f'{name}_error_px_mean'] == pytest.approx(errors.mean())
        assert found[f'{name}_error_px_std'] == pytest.approx(errors.std())
        assert found[f'{name}_error_px_median'] == pytest.approx(np.median(errors), rel=0.03)
        assert found[f'{name}_accuracy_{accuracy_px:g}px'] == pytest.approx(
            np.mean(errors < accuracy_px))
        assert found['matching/num_points'] == len(errors)
    assert len(found) == 4 * 4 + 1


@pytest.mark.parametrize('distance', [0., 1e-3, 3e4])
def test_median_of_extreme_errors(make_samples, evaluate, distance):
    sample = make_samples(1, 1)[0]
    sample.matchings = sample.matchings[:1]
    view = sample.matchings[0]
    view.true_pixels = torch.zeros(5, 2)
    for method in METHODS:
        view.set_data({method: torch.tensor([[distance, 0.]]).expand(5, 2)})
    median = evaluate(MatchingMetric(), [sample])['matching/learned_soft_error_px_median']
    # Below 0.1 px and beyond 1e4 px there is one bin each.
    assert 0 <= median <= 0.1 if distance < 0.1 else 9e3 < median <= 1e4


def test_views_without_points_count_as_none(make_samples, evaluate):
    frames = make_samples(2, 3)
    before = evaluate(MatchingMetric(), frames)
    for sample in frames:
        empty = {name: value[:0] for name, value in sample.matchings[0].items()}
        sample.matchings = sample.matchings + [type(sample.matchings[0])(**empty)]
    assert evaluate(MatchingMetric(), frames) == before
    only_empty = frames[0].clone()
    only_empty.matchings = only_empty.matchings[-1:]
    found = evaluate(MatchingMetric(), [only_empty])
    assert found['matching/num_points'] == 0
    assert np.isnan(found['matching/cosine_hard_error_px_mean'])
    assert np.isnan(found['matching/cosine_hard_accuracy_5px'])


def test_records_do_not_grow_with_the_number_of_points(make_samples):
    metric = MatchingMetric()
    metric.process(None, [make_samples(3, 1)[0].to_dict()])
    parts = metric.results[0]['sums']['cosine_hard']
    assert sum(np.asarray(part).nbytes for part in parts.values()) < 2000


def test_without_alignment_its_rows_are_left_out(make_samples, evaluate, log):
    found = evaluate(MatchingMetric(), make_samples(4, 5, learned=False))
    assert 'matching/cosine_soft_error_px_mean' in found
    assert not any('learned' in name for name in found)
    message, table = log
    assert message.startswith('MatchingMetric: no predictions of learned_hard, learned_soft,')
    assert 'Cosine + Soft-Match' in table and 'Learnable' not in table


def test_table_of_matching_is_that_of_the_paper(make_samples, evaluate, log):
    found = evaluate(MatchingMetric(), make_samples(5, 5))
    table, = log
    rows = {line[:24].strip(): line[24:].split() for line in table.splitlines()[2:]}
    assert list(rows) == ['Cosine + Hard-Match', 'Cosine + Soft-Match',
                          'Learnable + Hard-Match', 'Learnable + Soft-Match']
    assert rows['Learnable + Soft-Match'] == [
        f"{found['matching/learned_soft_error_px_mean']:.2f}", '+-',
        f"{found['matching/learned_soft_error_px_std']:.2f}",
        f"{found['matching/learned_soft_error_px_median']:.2f}",
        f"{100 * found['matching/learned_soft_accuracy_5px']:.2f}"]


def test_similarity_agrees_with_brute_force(make_samples, evaluate):
    frames = make_samples(0, 10)
    found = evaluate(AlignmentMetric(), frames)
    for name in ('cosine_similarity', 'learned_similarity'):
        values = torch.cat([view.get(name) for s in frames for view in s.matchings]).double()
        assert found[f'alignment/{name}_mean'] == pytest.approx(values.mean().item())
        assert found[f'alignment/{name}_std'] == pytest.approx(values.std(unbiased=False).item())
        assert found['alignment/num_points'] == len(values)
    assert len(found) == 5


def test_similarity_without_alignment_is_left_out(make_samples, evaluate, log):
    found = evaluate(AlignmentMetric(), make_samples(1, 5, learned=False))
    assert set(found) == {'alignment/cosine_similarity_mean', 'alignment/cosine_similarity_std',
                          'alignment/num_points'}
    message, table = log
    assert 'no predictions of learned_similarity' in message and 'w/ LTA' not in table


def test_without_points_there_is_no_similarity(make_samples, evaluate):
    sample = make_samples(2, 1)[0]
    empty = {name: value[:0] for name, value in sample.matchings[0].items()}
    sample.matchings = [type(sample.matchings[0])(**empty)]
    found = evaluate(AlignmentMetric(), [sample])
    assert found['alignment/num_points'] == 0
    assert np.isnan(found['alignment/cosine_similarity_mean'])


def test_table_of_similarity_has_both_rows(make_samples, evaluate, log):
    found = evaluate(AlignmentMetric(), make_samples(3, 5))
    assert [line.split() for line in log[0].splitlines()[1:]] == [
        [*title.split(), f"{found[f'alignment/{name}_mean']:.3f}", '+-',
         f"{found[f'alignment/{name}_std']:.3f}"]
        for title, name in (('w/o LTA', 'cosine_similarity'), ('w/ LTA', 'learned_similarity'))]
