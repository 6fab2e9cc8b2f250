"""Interpolation in sparse grids against SciPy's in dense ones."""
import numpy as np
import pytest
import torch

from nclr_plugin.models.layers.sparse_interpolation import interpolate

SHAPE = (5, 4, 6)


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
