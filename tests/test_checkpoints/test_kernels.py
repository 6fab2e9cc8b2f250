"""Kernel layouts against dense convolutions and against each library's order of offsets."""
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from nclr_plugin.checkpoints import export_backbone, load_pretrained
from nclr_plugin.checkpoints.kernels import (MINKOWSKI, TORCHSPARSE, fit_to_shape,
                                             looks_like_spconv1, second_stem_layer, to_spconv2)
from nclr_plugin.utils.devices import set_sparse_algorithm

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


def offsets_of(library, size):
    """Where the library puts kernel[0], kernel[1], ...

    TorchSparse 1.4: get_kernel_offsets in torchsparse/nn/utils/kernel.py, which follows
    MinkowskiEngine for odd sizes only. MinkowskiEngine 0.5: kernel_region in src/kernel_region.hpp;
    its iterator counts up the first axis first, and set_bounds begins even sizes at 0.
    """
    axis = range(-(size // 2), size // 2 + 1) if size % 2 else range(size)
    if library == TORCHSPARSE and size % 2 == 0:
        return [(x, y, z) for x in axis for y in axis for z in axis]
    return [(x, y, z) for z in axis for y in axis for x in axis]


def dense_weight(kernel, library):
    """Scatter (K^3, C_in, C_out) into a dense convolution's (C_out, C_in, K, K, K)."""
    size = round(len(kernel)**(1 / 3))
    weight = torch.full((kernel.shape[2], kernel.shape[1], size, size, size), float('nan'))
    for matrix, offset in zip(kernel, offsets_of(library, size)):
        x, y, z = (o + size // 2 if size % 2 else o for o in offset)
        weight[:, :, x, y, z] = matrix.T
    return weight


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
    stored = kernel[0] if size == 1 else kernel  # both drop the axis of a single offset
    layer = spconv.SubMConv3d(C_IN, C_OUT, size, padding=size // 2, bias=False)
    out, where = run_spconv([layer], [to_spconv2(stored, library)], features, cells)
    expected = F.conv3d(dense(features, cells), dense_weight(kernel, library), padding=size // 2)
    torch.testing.assert_close(out, at(expected, where), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('library', [TORCHSPARSE, MINKOWSKI])
def test_even_kernels(grid, library):
    features, cells = grid
    kernel = torch.randn(8, C_IN, C_OUT)
    layer = spconv.SparseConv3d(C_IN, C_OUT, 2, 2, bias=False)
    out, where = run_spconv([layer], [to_spconv2(kernel, library)], features, cells)
    expected = F.conv3d(dense(features, cells), dense_weight(kernel, library), stride=2)
    torch.testing.assert_close(out, at(expected, where), rtol=1e-4, atol=1e-4)
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
    coarse = F.conv3d(dense(features, cells), dense_weight(down, library), stride=2)
    fine = F.conv_transpose3d(coarse, dense_weight(up, library).transpose(0, 1), stride=2)
    torch.testing.assert_close(out, at(fine, where), rtol=1e-4, atol=1e-4)


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


def first_layer(width=6):
    torch.manual_seed(0)
    return {'conv_input.0.0.weight': torch.randn(width, 3, 3, 3, 4),
            'conv_input.0.1.weight': torch.randn(width), 'conv_input.0.1.bias': torch.randn(width)}


def test_the_norm_undoes_itself():
    """On samples of what the first norm and ReLU put out, in both modes."""
    state = first_layer()
    layer = second_stem_layer(state)
    norm = nn.BatchNorm1d(6)
    norm.load_state_dict({name[len('conv_input.1.1.'):]: tensor for name, tensor in layer.items()
                          if name.startswith('conv_input.1.1.')})
    x = torch.randn(200000, 6) * state['conv_input.0.1.weight'] + state['conv_input.0.1.bias']
    x = x.relu()
    torch.testing.assert_close(layer['conv_input.1.1.running_mean'], x.mean(0), rtol=0.02,
                               atol=0.02)
    torch.testing.assert_close(norm.eval()(x), x, rtol=1e-5, atol=1e-5)
    assert (norm.train()(x) - x).abs().max() < 0.05


def test_a_stem_that_is_complete_is_left(minkunet):
    assert second_stem_layer(minkunet().state_dict()) == {}
    assert second_stem_layer({'conv_input.0.weight': torch.zeros(1)}) == {}


@pytest.mark.parametrize('exported', [False, True])
def test_the_network_computes_the_same(minkunet, published, save, tmp_path, exported):
    source, target = minkunet(), minkunet(seed=1)
    state = {n: t for n, t in published(source).items() if n.split('.')[:2] not in (
        ['stem', '3'], ['stem', '4'])}
    path = save(state, prefix='encoder.')
    if exported:
        path, before = str(tmp_path / 'out.pth'), path
        assert len(export_backbone(before, 'mmdet3d', path).completed) == 5
    report = load_pretrained(target, path)
    assert not report.missing and (exported or len(report.completed) == 5)
    assert report.match_ratio == 1

    source.conv_input[1] = nn.Identity()
    torch.testing.assert_close(*outputs_of(source, target), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('channels, where, words', [
    (1, slice(3, 4), '(1 of 4 input channels: intensity; the others are 0)'),
    (3, slice(0, 3), '(3 of 4 input channels: x, y, z; the others are 0)')])
@pytest.mark.parametrize('minkowski', [False, True], ids=['TorchSparse', 'MinkowskiEngine'])
@pytest.mark.parametrize('exported', [False, True])
def test_a_network_that_sees_a_part_of_the_inputs(minkunet, published, save, tmp_path, channels,
                                                  where, words, minkowski, exported):
    """Of NCLR, BEVContrast and ALSO: intensity; of SegContrast without it: x, y, z."""
    source, target = minkunet(in_channels=channels), minkunet(seed=1)
    state = published(source, minkowski)
    assert state['stem.0.kernel'].shape == (27, channels, 8)
    path = save(state, prefix='encoder.')
    if exported:
        out = str(tmp_path / 'out.pth')
        report = export_backbone(path, 'mmdet3d', out)
        reference = nn.Module()
        reference.backbone = target
        reference.load_state_dict(torch.load(out)['state_dict'], strict=True)
    else:
        report = load_pretrained(target, path)
    assert report.completed == [f'conv_input.0.0.weight {words}']
    assert '244 of 245 tensors match' in report.summary() and words in report.summary()
    assert not report.missing + report.mismatched and report.match_ratio == 1
    torch.testing.assert_close(*outputs_of(source, target, where), rtol=1e-4, atol=1e-4)


def outputs_of(source, target, where=slice(None)):
    """Of a network that sees a part of the inputs, and of one that sees all."""
    coors = torch.cat([torch.zeros(500, 1), torch.randint(0, 16, (500, 3))], 1).int().unique(dim=0)
    coors[-1, 1:] = 15
    feats = torch.rand(len(coors), 4)
    outputs = []
    for net, inputs in ((source, feats[:, where]), (target, feats)):
        set_sparse_algorithm(net.eval(), 'cpu')
        with torch.no_grad():
            outputs.append(net(inputs, coors))
    return outputs
