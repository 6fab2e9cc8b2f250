import numpy as np
import pytest
import torch

from nclr_plugin.evaluation import OverlapMetric


def of_threshold(score, truth, threshold):
    """Precision, recall and IoU of what scores above a threshold."""
    chosen = score > threshold
    both = (chosen & truth).sum()
    return both / chosen.sum(), both / truth.sum(), both / (chosen | truth).sum()


@pytest.mark.parametrize('thresholds', [(0.25, 0.4), (0.5, 0.07)])
def test_agrees_with_brute_force(make_samples, evaluate, thresholds):
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


def test_nothing_overlaps(make_samples, evaluate):
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


def test_table_has_both_sides(make_samples, evaluate, log):
    found = evaluate(OverlapMetric(), make_samples(5, 4))
    lines = log[0].splitlines()
    assert lines[0].split()[-2:] == ['points', 'pixels']
    best = next(line for line in lines if line.startswith('best IoU'))
    assert best.split()[-2:] == [f"{found['overlap/point_best_iou']:.3f}",
                                 f"{found['overlap/pixel_best_iou']:.3f}"]
