"""Scores of each view, from the point, the view and nothing else."""
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
