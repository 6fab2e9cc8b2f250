"""Voxels against mmdet3d's rule computed with numpy, and against brute force."""
import numpy as np
import pytest
import torch

from nclr_plugin.models.layers.voxelization import (containing_rows, interpolate, unique,
                                                    voxelize)

SHAPE = (5, 4, 6)


def _scan(num_points, seed):
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.uniform(-6, 9, (num_points, 3)), rng.random((num_points, 1))),
                          1).astype(np.float32)


@pytest.mark.parametrize('size', [(0.5, 0.5, 0.5), (0.5, 0.25, 1.0)])
def test_voxels_are_mmdet3ds(size):
    scans = [_scan(400, 0), _scan(300, 1)]
    voxels = voxelize([torch.from_numpy(s) for s in scans], size)
    row = 0
    for batch, scan in enumerate(scans):
        index = np.round(scan[:, :3] / np.float32(size)).astype(int)
        index -= index.min(0)
        for coors in sorted({tuple(i) for i in index}):
            members = scan[(index == coors).all(1)]
            assert voxels.coors[row].tolist() == [batch, *coors]
            feats = voxels.feats[row].clone()
            feats[:3] += voxels.centre[batch]
            np.testing.assert_allclose(feats, members.mean(0), rtol=1e-5, atol=1e-5)
            np.testing.assert_allclose(voxels.points[row], members[:, :3].mean(0), atol=1e-5)
            row += 1
    assert row == len(voxels.coors)


def test_centres_of_the_fine_grid_are_within_half_a_voxel_of_their_points():
    scan = torch.from_numpy(_scan(500, 2))
    voxels = voxelize([scan, scan + 3], (0.5, 0.5, 0.5))
    centres = voxels.centres(voxels.coors, 1) + voxels.centre[voxels.batch_index]
    points = torch.cat((scan, scan + 3))[:, :3]
    assert (points - centres[voxels.point2voxel]).abs().max() <= 0.25 + 1e-5


def test_centres_of_a_coarse_grid_are_the_mean_of_their_fine_voxels():
    voxels = voxelize([torch.from_numpy(_scan(50, 3))], (0.5, 0.5, 0.5))
    coarse = torch.tensor([[0, 1, 2, 3]])
    fine = torch.cartesian_prod(torch.arange(4, 8), torch.arange(8, 12), torch.arange(12, 16))
    fine = torch.cat((torch.zeros(len(fine), 1, dtype=torch.long), fine), 1)
    torch.testing.assert_close(voxels.centres(coarse, 4)[0], voxels.centres(fine, 1).mean(0))


def test_result_does_not_depend_on_the_order_of_points():
    scan = torch.from_numpy(_scan(500, 4))
    first = voxelize([scan], (1., 1., 1.))
    second = voxelize([scan[torch.randperm(500)]], (1., 1., 1.))
    assert torch.equal(first.coors, second.coors)
    torch.testing.assert_close(first.feats, second.feats)


def test_a_dense_scan_and_the_choice_of_its_voxels_do_not_depend_on_the_order_either():
    rng = np.random.default_rng(9)
    points = rng.normal(size=(60000, 3)) * [12, 12, 1] + [30, -20, 0]
    scan = torch.from_numpy(np.concatenate((points, rng.random((60000, 1))), 1)).float()
    results = []
    for points in (scan, scan[torch.argsort(scan[:, 0])], scan[torch.argsort(scan[:, 3])]):
        torch.manual_seed(0)
        results.append(voxelize([points], (1., 1., 1.)).limit(700))
    first = results[0]
    assert len(first.coors) == 700
    for voxels in results[1:]:
        assert torch.equal(voxels.coors, first.coors)
        torch.testing.assert_close(voxels.centre, first.centre, rtol=0, atol=1e-5)
        torch.testing.assert_close(voxels.feats, first.feats, rtol=1e-5, atol=5e-5)


def test_max_voxels_keeps_whole_voxels_and_marks_the_rest():
    scans = [torch.from_numpy(_scan(400, 5)), torch.from_numpy(_scan(30, 6))]
    full = voxelize(scans, (1., 1., 1.))
    some = full.limit(50)
    counts = torch.bincount(some.batch_index)
    assert counts[0] == 50 and counts[1] == min(50, int((full.batch_index == 1).sum()))
    assert (some.batch_index.diff() >= 0).all()
    kept = some.point2voxel >= 0
    points = torch.cat(scans)
    means = torch.zeros_like(some.feats).index_add_(0, some.point2voxel[kept], points[kept])
    means = means / torch.bincount(some.point2voxel[kept])[:, None]
    torch.testing.assert_close(means[:, :3], some.points)
    torch.testing.assert_close(means[:, 3:], some.feats[:, 3:])


def test_features_do_not_depend_on_where_the_origin_is():
    scan = torch.from_numpy(_scan(500, 7))
    moved = scan + torch.tensor([8., -4., 0., 0.])  # whole voxels, or the grid would move too
    first, second = voxelize([scan], (1., 1., 1.)), voxelize([moved], (1., 1., 1.))
    torch.testing.assert_close(first.feats, second.feats, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(first.relative_points, second.relative_points)
    torch.testing.assert_close(second.points - first.points,
                               torch.tensor([8., -4., 0.]).expand(len(first.points), 3))


def test_a_given_centre_replaces_that_of_the_points():
    scans = [torch.from_numpy(_scan(60, 8)), torch.from_numpy(_scan(40, 9))]
    centres = [torch.tensor([1., 2., 3.], dtype=torch.float64), torch.zeros(3)]
    found, own = voxelize(scans, (0.5, ) * 3, centres), voxelize(scans, (0.5, ) * 3)
    torch.testing.assert_close(found.centre, torch.stack([centre.float() for centre in centres]))
    torch.testing.assert_close(found.relative_points,
                               found.points - found.centre[found.batch_index])
    assert torch.equal(found.points, own.points) and torch.equal(found.coors, own.coors)


def test_containing_rows_against_a_dictionary():
    scans = [torch.from_numpy(_scan(400, 0)), torch.from_numpy(_scan(300, 1))]
    voxels = voxelize(scans, (0.5,) * 3)
    fine = voxels.coors.tolist()
    coarse = sorted({(b, x // 4, y // 4, z // 4) for b, x, y, z in fine})
    np.random.default_rng(0).shuffle(coarse)  # down-sampling on a CPU does not sort
    row = {tuple(index): i for i, index in enumerate(np.asarray(coarse).tolist())}
    found = containing_rows(voxels.coors, torch.tensor(coarse, dtype=torch.int32), 4)
    assert found.tolist() == [row[b, x // 4, y // 4, z // 4] for b, x, y, z in fine]


def test_a_subset_holds_as_many_voxels_of_each_scan_as_asked_for():
    scans = [torch.from_numpy(_scan(400, 1)), torch.from_numpy(_scan(30, 2))]
    voxels = voxelize(scans, (1., 1., 1.))
    assert voxels.counts == tuple(torch.bincount(voxels.batch_index).tolist())
    torch.manual_seed(0)
    for at_random in (True, False):
        rows, counts = voxels.subset(20, at_random)
        again, _ = voxels.subset(20, at_random)
        assert torch.equal(rows, again) != at_random
        assert torch.equal(rows, rows.unique()), 'sorted, each once'
        some = voxels.take(rows, counts)
        assert counts == tuple(torch.bincount(some.batch_index, minlength=2).tolist())
        assert counts == tuple(min(count, 20) for count in voxels.counts)
        torch.testing.assert_close(some.points, voxels.points[rows])
        torch.testing.assert_close(
            some.relative_points, some.points - some.centre[some.batch_index])


@pytest.mark.parametrize('size', [0, 1, 7, 500])
def test_unique_is_that_of_torch(size):
    torch.manual_seed(size)
    values = torch.randint(-20, 40, (size, ))
    expected = torch.unique(values, return_inverse=True, return_counts=True)
    for ours, theirs in zip(unique(values), expected):
        assert torch.equal(ours, theirs)


@pytest.fixture
def dense():
    """Values (2, 5, 4, 6, 3) of two scans and the indices of their cells, in any order."""
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(2, *SHAPE, 3, generator=generator, dtype=torch.float64)
    indices = torch.stack(torch.meshgrid(
        *(torch.arange(n) for n in (2, *SHAPE)), indexing='ij'), -1).view(-1, 4)
    return values, indices[torch.randperm(len(indices), generator=generator)]


def at(values, indices):
    return values[tuple(indices.unbind(1))]


def positions(count):
    generator = torch.Generator().manual_seed(1)
    inside = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    batch = torch.randint(2, (count, 1), generator=generator)
    return torch.cat((batch, inside * (torch.tensor(SHAPE) - 1)), 1)


def test_is_scipys_where_all_cells_exist(dense):
    interpolators = pytest.importorskip('scipy.interpolate')
    values, indices = dense
    where = positions(50)
    result = interpolate(at(values, indices), indices, where)
    for batch in (0, 1):
        expected = interpolators.RegularGridInterpolator(
            [np.arange(n) for n in SHAPE], values[batch].numpy())
        mine = where[:, 0] == batch
        np.testing.assert_allclose(result[mine], expected(where[mine, 1:].numpy()), atol=1e-12)


def test_absent_cells_have_no_share(dense):
    values, indices = dense
    indices = indices[indices[:, 1:].sum(1) % 3 > 0]
    where = positions(40)
    result = interpolate(at(values, indices), indices, where)
    present = {tuple(row) for row in indices.tolist()}
    for row, found in zip(where, result):
        total, weight = torch.zeros(3, dtype=torch.float64), 0.
        for cell in np.ndindex(2, *SHAPE):
            share = (1 - (row[1:] - torch.tensor(cell[1:])).abs()).clamp(min=0).prod()
            if cell[0] == row[0] and cell in present:
                total, weight = total + share * values[cell], weight + share
        torch.testing.assert_close(found, total / max(weight, 1e-6))


def test_nothing_around_is_zero():
    cells = torch.tensor([[0, 0, 0, 0], [1, 5, 5, 5]])
    where = torch.tensor([[0, 5., 5, 5], [0, -3, 0, 0], [1, 5, 5, 5]])
    result = interpolate(torch.ones(2, 1), cells, where)
    assert result[:, 0].tolist() == [0., 0., 1.]


def test_gradients(dense):
    values, indices = dense
    feats = at(values, indices)[:, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: interpolate(f, indices, positions(6)), feats)
