"""Scores of each view, from the point, the view and nothing else."""
import multiprocessing

import torch

from nclr_plugin.models.heads import OverlapHead
from nclr_plugin.models.ragged import voxels_of_views


def test_scores_depend_on_the_point_and_on_the_view():
    torch.manual_seed(0)
    head = OverlapHead(6, 5, hidden_channels=8)
    seen = voxels_of_views(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    points, pixels = torch.randn(5, 6), torch.randn(3, 5, 2, 4)
    point_logits, pixel_logits = head(points, pixels, seen)
    assert point_logits.shape == (3, 3) and pixel_logits.shape == (3, 2, 4)
    assert (point_logits[0] - point_logits[1]).abs().min() > 1e-5  # two cameras, one scan

    changed = pixels.clone()
    changed[1] += 1
    again, _ = head(points, changed, seen)
    torch.testing.assert_close(again[[0, 2]], point_logits[[0, 2]])
    assert (again[1] - point_logits[1]).abs().max() > 1e-5


def test_gradients_reach_every_parameter():
    head = OverlapHead(6, 5)
    seen = voxels_of_views(torch.zeros(4, dtype=torch.long), torch.tensor([0]), 1)
    point_logits, pixel_logits = head(torch.randn(4, 6), torch.randn(1, 5, 2, 4), seen)
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
        head.observe(logits, labels, mask, pixel_logits, pixel_labels)
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


def _observe(rank, folder, queue):
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    head = OverlapHead(6, 5)
    for step in range(3):
        head.observe(*_scores(rank + step, 500))
    queue.put((rank, head.score_histogram.numpy()))


def test_two_processes_have_the_thresholds_of_one_with_both_batches(tmp_path):
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    processes = [context.Process(target=_observe, args=(rank, tmp_path, queue))
                 for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(10)
    one = OverlapHead(6, 5)
    for step in range(3):
        one.observe(*map(torch.cat, zip(_scores(step, 500), _scores(step + 1, 500))))
    for histogram in found.values():
        torch.testing.assert_close(torch.from_numpy(histogram), one.score_histogram)
    assert (found[0] == found[1]).all() and one.thresholds[0] != one.thresholds[1]


def test_fixed_thresholds():
    head = OverlapHead(6, 5, thresholds=(0.3, 0.7))
    head.observe(*[torch.zeros(1, 4)] * 2, torch.ones(1, 4, dtype=torch.bool),
                 torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.bool))
    torch.testing.assert_close(head.thresholds, torch.tensor([0.3, 0.7]))


def test_scores_that_are_not_finite_are_survived():
    """The step that they come from is skipped and named elsewhere."""
    head = OverlapHead(6, 5)
    logits = torch.tensor([[float('nan'), float('inf'), -float('inf'), 0.]])
    labels = torch.tensor([[True, True, False, False]])
    head.observe(logits, labels, torch.ones_like(labels), logits[..., None], labels[..., None])
    assert head.thresholds.isfinite().all()
