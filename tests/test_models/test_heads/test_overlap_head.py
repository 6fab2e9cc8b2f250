"""Scores of each view, from the point, the view and nothing else."""

import torch

from nclr_plugin.models.layers.batching import group_voxels_by_view
from nclr_plugin.models.heads import OverlapHead


def test_scores_depend_on_the_point_and_on_the_view():
    torch.manual_seed(0)
    head = OverlapHead(6, 5, hidden_channels=8)
    view_voxels = group_voxels_by_view([3, 2], torch.tensor([0, 0, 1]))
    points, pixels = torch.randn(5, 6), torch.randn(3, 5, 2, 4)
    point_logits, pixel_logits = head(points, pixels, view_voxels)
    assert point_logits.shape == (3, 3) and pixel_logits.shape == (3, 2, 4)
    assert (point_logits[0] - point_logits[1]).abs().min() > 1e-5  # two cameras, one scan

    changed = pixels.clone()
    changed[1] += 1
    again, _ = head(points, changed, view_voxels)
    torch.testing.assert_close(again[[0, 2]], point_logits[[0, 2]])
    assert (again[1] - point_logits[1]).abs().max() > 1e-5


def test_gradients_reach_every_parameter():
    head = OverlapHead(6, 5)
    view_voxels = group_voxels_by_view([4], torch.tensor([0]))
    point_logits, pixel_logits = head(torch.randn(4, 6), torch.randn(1, 5, 2, 4), view_voxels)
    (point_logits.sum() + pixel_logits.sum()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_thresholds_are_those_of_largest_iou_on_recent_scores():
    """Against a search over every threshold of a grid on the scores themselves."""
    torch.manual_seed(0)
    head = OverlapHead(6, 5)
    assert head.thresholds.tolist() == [0.5, 0.5]  # nothing seen
    labels = torch.rand(2, 4000) < 0.15
    logits = torch.randn(2, 4000) + 2 * labels + 1  # biased, as by weighted positives
    mask = torch.rand(2, 4000) < 0.9
    pixel_labels = torch.rand(2, 20, 30) < 0.5
    pixel_logits = torch.randn(2, 20, 30) - 3 + 2 * pixel_labels
    for _ in range(3):
        head.update_thresholds(logits, labels, mask, pixel_logits, pixel_labels)
    for found, score, truth in zip(head.thresholds.tolist(),
                                   (logits.sigmoid()[mask], pixel_logits.sigmoid()),
                                   (labels[mask], pixel_labels)):
        grid = [i / 50 for i in range(50)]
        iou = [float(((score >= t) & truth).sum() / ((score >= t) | truth).sum()) for t in grid]
        assert abs(iou[grid.index(round(found, 2))] - max(iou)) < 1e-6
    assert head.thresholds[0] > 0.6 and head.thresholds[1] < 0.4


def _scores(seed, count):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.rand(2, count, generator=generator) < 0.3
    logits = torch.randn(2, count, generator=generator) + 2 * labels + seed
    mask = torch.rand(2, count, generator=generator) < 0.9
    pixel_labels = torch.rand(2, 8, 9, generator=generator) < 0.5
    pixel_logits = torch.randn(2, 8, 9, generator=generator) - 3 * seed + 2 * pixel_labels
    return logits, labels, mask, pixel_logits, pixel_labels


def _observe(rank):
    head = OverlapHead(6, 5)
    for step in range(3):
        head.update_thresholds(*_scores(rank + step, 500))
    return head.score_histogram.numpy()


def test_two_processes_have_the_thresholds_of_one_with_both_batches(in_two_processes):
    found = in_two_processes(_observe)
    one = OverlapHead(6, 5)
    for step in range(3):
        one.update_thresholds(*map(torch.cat, zip(_scores(step, 500), _scores(step + 1, 500))))
    for histogram in found:
        torch.testing.assert_close(torch.from_numpy(histogram), one.score_histogram)
    assert (found[0] == found[1]).all() and one.thresholds[0] != one.thresholds[1]


def test_fixed_thresholds():
    head = OverlapHead(6, 5, thresholds=(0.3, 0.7))
    head.update_thresholds(*[torch.zeros(1, 4)] * 2, torch.ones(1, 4, dtype=torch.bool),
                 torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool))
    torch.testing.assert_close(head.thresholds, torch.tensor([0.3, 0.7]))


def test_scores_that_are_not_finite_are_survived():
    """The step that they come from is skipped and named elsewhere."""
    head = OverlapHead(6, 5)
    logits = torch.tensor([[float('nan'), float('inf'), -float('inf'), 0.]])
    labels = torch.tensor([[True, True, False, False]])
    head.update_thresholds(
        logits, labels, torch.ones_like(labels), logits[..., None], labels[..., None])
    assert head.thresholds.isfinite().all()


def test_loss_is_equation_3_view_by_view():
    torch.manual_seed(0)
    point_logits, pixel_logits = torch.randn(2, 5), torch.randn(2, 3, 4)
    point_labels, pixel_labels = torch.rand(2, 5) > .5, torch.rand(2, 3, 4) > .5
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    expected = 0
    for view in range(2):
        terms = []
        for logit, label in zip(point_logits[view][mask[view]], point_labels[view][mask[view]]):
            score = 1 / (1 + torch.exp(-logit))
            terms.append(-torch.log(score) if label else -torch.log(1 - score))
        expected += sum(terms) / len(terms)
        score = 1 / (1 + torch.exp(-pixel_logits[view]))
        expected += -torch.where(pixel_labels[view], score.log(), (1 - score).log()).mean()
    result = OverlapHead(6, 5).loss(point_logits, point_labels, mask, pixel_logits, pixel_labels)
    torch.testing.assert_close(result, expected / 2)


def test_extreme_logits_and_a_view_without_points_are_finite():
    logits = torch.tensor([[500., -500.], [0., 0.]], requires_grad=True)
    labels = torch.tensor([[False, True], [True, True]])
    mask = torch.tensor([[True, True], [False, False]])
    loss = OverlapHead(6, 5).loss(
        logits, labels, mask, torch.zeros(2, 1, 1), torch.ones(2, 1, 1).bool())
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert (logits.grad[1] == 0).all()
