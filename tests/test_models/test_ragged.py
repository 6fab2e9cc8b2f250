"""Padding and view lists against plain Python loops."""
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nclr_plugin.models.ragged import padding_of, voxels_of_views


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_padding_keeps_rows_in_order_and_returns_them(groups):
    group = torch.tensor(groups)
    rows = torch.arange(len(groups), dtype=torch.float)[:, None] + 1
    padding = padding_of(group, 5)
    grid = padding.pad(rows)
    for index in range(5):
        expected = [i + 1 for i, g in enumerate(groups) if g == index]
        assert grid[index, padding.mask[index], 0].tolist() == expected
        assert (grid[index, ~padding.mask[index]] == 0).all()
    assert torch.equal(padding.unpad(grid), rows)


def test_padding_passes_gradients():
    rows = torch.randn(5, 2, dtype=torch.double, requires_grad=True)
    padding = padding_of(torch.tensor([1, 0, 1, 2, 1]), 3)
    assert torch.autograd.gradcheck(lambda r: padding.pad(r), rows)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_every_view_sees_exactly_the_voxels_of_its_scan(counts, data):
    scans = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    views = torch.tensor(
        data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6)))
    seen = voxels_of_views(scans, views, len(counts))
    for view, scan in enumerate(views.tolist()):
        expected = (scans == scan).nonzero()[:, 0].tolist()
        assert seen.voxel[view, seen.mask[view]].tolist() == expected
