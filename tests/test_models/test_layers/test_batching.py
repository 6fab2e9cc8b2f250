"""Dense batches and view lists against plain Python loops; subsets are uniform or reproducible."""
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nclr_plugin.models.layers.batching import (dense_batch, evenly_spaced_subset,
                                                group_voxels_by_view, random_subset)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40))
def test_padding_keeps_rows_in_order_and_returns_them(groups):
    group = torch.tensor(groups)
    rows = torch.arange(len(groups), dtype=torch.float)[:, None] + 1
    padding = dense_batch(group, 5)
    grid = padding.to_dense(rows)
    for index in range(5):
        expected = [i + 1 for i, g in enumerate(groups) if g == index]
        assert grid[index, padding.mask[index], 0].tolist() == expected
        assert (grid[index, ~padding.mask[index]] == 0).all()
    assert torch.equal(padding.from_dense(grid), rows)


def test_padding_passes_gradients():
    rows = torch.randn(5, 2, dtype=torch.double, requires_grad=True)
    padding = dense_batch(torch.tensor([1, 0, 1, 2, 1]), 3)
    assert torch.autograd.gradcheck(lambda r: padding.to_dense(r), rows)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_every_view_sees_exactly_the_voxels_of_its_scan(counts, data):
    scans = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    views = torch.tensor(
        data.draw(st.lists(st.integers(0, len(counts) - 1), min_size=1, max_size=6)))
    view_voxels = group_voxels_by_view(counts, views)
    for view, scan in enumerate(views.tolist()):
        expected = (scans == scan).nonzero()[:, 0].tolist()
        assert view_voxels.idx[view, view_voxels.mask[view]].tolist() == expected


def test_sample_is_uniform_without_replacement_among_the_eligible():
    torch.manual_seed(0)
    eligible = torch.tensor([[1, 1, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0]]).bool()
    hits = torch.zeros(6)
    for _ in range(2000):
        sampled, valid = random_subset(eligible, 2)
        assert valid.tolist() == [[True, True], [True, False]]
        assert sampled[0, 0] != sampled[0, 1] and sampled[1, 0] == 2
        hits[sampled[0]] += 1
    assert hits[4] == 0
    assert (hits[eligible[0]] / 2000 - 2 / 5).abs().max() < 0.05


def test_spread_columns_are_reproducible_eligible_and_all_over_the_row():
    eligible = torch.rand(2, 1000, generator=torch.Generator().manual_seed(0)) > 0.3
    sampled, valid = evenly_spaced_subset(eligible, 100)
    assert valid.all() and eligible.gather(1, sampled).all()
    assert all(len(set(row.tolist())) == 100 for row in sampled)
    assert torch.equal(sampled, evenly_spaced_subset(eligible, 100)[0])
    counts = torch.histc(sampled.float(), bins=10, min=0, max=1000)
    assert counts.min() >= 10


def test_an_evenly_spaced_subset_is_no_longer_than_its_fullest_row():
    mask = torch.zeros(2, 50, dtype=torch.bool)
    mask[0, ::10] = mask[1, :3] = True
    sampled, valid = evenly_spaced_subset(mask, 20)
    assert sampled.shape == (2, 5) and valid.sum(1).tolist() == [5, 3]
    assert mask.gather(1, sampled)[valid].all()
    sampled, valid = evenly_spaced_subset(torch.zeros_like(mask), 20)
    assert sampled.shape == (2, 1) and not valid.any()
