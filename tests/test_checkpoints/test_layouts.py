"""Kernel layouts against dense convolutions and against each library's order of offsets."""
import itertools

import pytest
import torch
import torch.nn.functional as F

from nclr_plugin.checkpoints.layouts import (MINKOWSKI, TORCHSPARSE, fit_to_shape,
                                             looks_like_spconv1, to_spconv2)

C_IN, C_OUT, GRID = 3, 5, 6
spconv = pytest.importorskip('spconv.pytorch')


@pytest.fixture
def grid():
    """Half of the cells of a dense grid: (M, C) features and (M, 3) indices x, y, z."""
    generator = torch.Generator().manual_seed(0)
    cells = torch.tensor(list(itertools.product(range(GRID), repeat=3)))
    cells = cells[torch.randperm(len(cells), generator=generator)[:len(cells) // 2]]
    return torch.randn(len(cells), C_IN, generator=generator), cells


def dense(features, cells):
    grid = features.new_zeros(1, features.shape[1], GRID, GRID, GRID)
    grid[0, :, cells[:, 0], cells[:, 1], cells[:, 2]] = features.T
    return grid


def at(grid, cells):
    return grid[0][:, cells[:, 0], cells[:, 1], cells[:, 2]].T


def run_spconv(layers, weights, features, cells):
    """Apply spconv layers with the given kernels -> features, indices x, y, z."""
    indices = F.pad(cells, (1, 0)).int()
    x = spconv.SparseConvTensor(features, indices, [GRID] * 3, 1)
    for layer, weight in zip(layers, weights):
        layer.algo = spconv.ConvAlgo.Native
        layer.weight.data = weight.contiguous()
        x = layer(x)
    return x.features, x.indices[:, 1:].long()


def naive(kernel, offsets, features, cells, stride=1, outputs=None):
    """out[p] = sum_o in[stride p + o] W[o], by a dictionary of cells."""
    row = {tuple(cell): i for i, cell in enumerate(cells.tolist())}
    outputs = cells if outputs is None else outputs
    result = torch.zeros(len(outputs), C_OUT)
    for i, p in enumerate(outputs.tolist()):
        for weight, o in zip(kernel, offsets):
            q = tuple(stride * a + b for a, b in zip(p, o))
            if q in row:
                result[i] += features[row[q]] @ weight
    return result


def offsets_of(library, size):
    """The order that each library documents, written out."""
    start = -(size // 2) if size % 2 else 0
    axis = range(start, start + size)
    x_fastest = [(x, y, z) for z in axis for y in axis for x in axis]
    z_fastest = [(x, y, z) for x in axis for y in axis for z in axis]
    # TorchSparse 1.4 follows MinkowskiEngine for odd sizes only
    return z_fastest if library == TORCHSPARSE and size % 2 == 0 else x_fastest


def test_spconv_2_is_a_dense_convolution(grid):
    features, cells = grid
    weight = torch.randn(C_OUT, 3, 3, 3, C_IN)
    out, where = run_spconv([spconv.SubMConv3d(C_IN, C_OUT, 3, padding=1, bias=False)], [weight],
                            features, cells)
    expected = F.conv3d(dense(features, cells), weight.permute(0, 4, 1, 2, 3), padding=1)
    torch.testing.assert_close(out, at(expected, where), rtol=1e-4, atol=1e-4)


def test_spconv_2_down_and_up_are_dense_convolutions(grid):
    features, cells = grid
    down, up = torch.randn(C_OUT, 2, 2, 2, C_IN), torch.randn(C_IN, 2, 2, 2, C_OUT)
    layers = [spconv.SparseConv3d(C_IN, C_OUT, 2, 2, bias=False, indice_key='a'),
              spconv.SparseInverseConv3d(C_OUT, C_IN, 2, bias=False, indice_key='a')]
    out, where = run_spconv(layers, [down, up], features, cells)
    coarse = F.conv3d(dense(features, cells), down.permute(0, 4, 1, 2, 3), stride=2)
    fine = F.conv_transpose3d(coarse, up.permute(4, 0, 1, 2, 3), stride=2)
    torch.testing.assert_close(out, at(fine, where), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [1, 2, 3])
def test_spconv_1_kernels(grid, size):
    """(K, K, K, C_in, C_out), as a dense convolution would use it."""
    features, cells = grid
    kernel = torch.randn(size, size, size, C_IN, C_OUT)
    stride = 2 if size == 2 else 1
    layer = spconv.SparseConv3d(C_IN, C_OUT, size, stride, bias=False) if size == 2 else \
        spconv.SubMConv3d(C_IN, C_OUT, size, padding=size // 2, bias=False)
    out, where = run_spconv([layer], [to_spconv2(kernel, TORCHSPARSE)], features, cells)
    expected = F.conv3d(dense(features, cells), kernel.permute(4, 3, 0, 1, 2), stride=stride,
                        padding=size // 2 if size % 2 else 0)
    torch.testing.assert_close(out, at(expected, where), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('library', [TORCHSPARSE, MINKOWSKI])
@pytest.mark.parametrize('size', [1, 3])
def test_odd_kernels(grid, library, size):
    features, cells = grid
    kernel = torch.randn(size**3, C_IN, C_OUT)
    expected = naive(kernel, offsets_of(library, size), features, cells)
    stored = kernel[0] if size == 1 else kernel  # both drop the axis of a single offset
    layer = spconv.SubMConv3d(C_IN, C_OUT, size, padding=size // 2, bias=False)
    out, where = run_spconv([layer], [to_spconv2(stored, library)], features, cells)
    assert torch.equal(where, cells)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('library', [TORCHSPARSE, MINKOWSKI])
def test_even_kernels(grid, library):
    features, cells = grid
    kernel = torch.randn(8, C_IN, C_OUT)
    layer = spconv.SparseConv3d(C_IN, C_OUT, 2, 2, bias=False)
    out, where = run_spconv([layer], [to_spconv2(kernel, library)], features, cells)
    expected = naive(kernel, offsets_of(library, 2), features, cells, stride=2, outputs=where)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)
    other = TORCHSPARSE if library == MINKOWSKI else MINKOWSKI
    assert not torch.allclose(to_spconv2(kernel, library), to_spconv2(kernel, other))


@pytest.mark.parametrize('library', [TORCHSPARSE, MINKOWSKI])
def test_transposed_kernels(grid, library):
    """fine[2 p + o] = coarse[p] W[o]: the map of the down-sampling, used backwards."""
    features, cells = grid
    down, up = torch.randn(8, C_IN, C_IN), torch.randn(8, C_IN, C_OUT)
    layers = [spconv.SparseConv3d(C_IN, C_IN, 2, 2, bias=False, indice_key='a'),
              spconv.SparseInverseConv3d(C_IN, C_OUT, 2, bias=False, indice_key='a')]
    weights = [to_spconv2(down, library), to_spconv2(up, library)]
    out, where = run_spconv(layers, weights, features, cells)
    coarse, parents = run_spconv(layers[:1], weights[:1], features, cells)
    row = {tuple(p): i for i, p in enumerate(parents.tolist())}
    order = offsets_of(library, 2)
    expected = torch.stack([
        coarse[row[tuple(a // 2 for a in q)]] @ up[order.index(tuple(a % 2 for a in q))]
        for q in where.tolist()])
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('shape', [(3, 3, 3, 4, 32), (27, 4, 32), (32, 3, 3, 3, 4)])
def test_layouts_are_recognised_by_shape(shape):
    fitted = fit_to_shape(torch.randn(shape), (32, 3, 3, 3, 4), TORCHSPARSE)
    assert fitted.shape == (32, 3, 3, 3, 4)
    assert looks_like_spconv1(torch.empty(shape)) == (shape == (3, 3, 3, 4, 32))


@pytest.mark.parametrize('shape', [(64, 3, 3, 3, 4), (27, 8, 32), (3, 3, 3, 32, 4), (8, 4, 32),
                                   (4, 32), (32, )])
def test_another_width_or_size_fits_nothing(shape):
    assert fit_to_shape(torch.randn(shape), (32, 3, 3, 3, 4), TORCHSPARSE) is None


def test_a_kernel_that_is_no_cube_is_named():
    with pytest.raises(ValueError, match=r'found \(10, 4, 32\)'):
        to_spconv2(torch.empty(10, 4, 32), TORCHSPARSE)
