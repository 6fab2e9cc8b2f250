"""The sparse U-Nets once more, on dense grids and with loops over points, from their weights."""
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmdet3d.models.layers.sparse_block import SparseBasicBlock  # noqa: E402
from spconv.pytorch import (SparseConv3d, SparseInverseConv3d, SparseSequential,  # noqa: E402
                            SubMConv3d)

from nclr_plugin.models.backbones.minkunet import SplitMinkUNet, SplitResUNet, SplitSPVCNN
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

WIDTHS = dict(
    in_channels=2, base_channels=4, encoder_channels=(4, 6, 8, 10), encoder_blocks=(1, 2, 1, 1),
    decoder_channels=(10, 8, 6, 5), decoder_blocks=(1, 1, 2, 1))


class DenseGrid:
    """(B, C, X, Y, Z) features that are 0 outside a mask (B, 1, X, Y, Z)."""

    def __init__(self, feats, mask):
        self.feats, self.mask = feats * mask, mask

    def at(self, coors):
        batch, x, y, z = coors.long().T
        return self.feats[batch, :, x, y, z]


def to_grid(feats, coors, stride):
    """Voxels in a grid of whole multiples of ``stride``."""
    shape = [(int(size) // stride + 1) * stride for size in coors[:, 1:].amax(0)]
    batch, x, y, z = coors.long().T
    grid = feats.new_zeros(int(batch.max()) + 1, *shape, feats.shape[1])
    mask = feats.new_zeros(int(batch.max()) + 1, *shape, 1)
    grid = grid.index_put((batch, x, y, z), feats)
    mask[batch, x, y, z] = 1
    return DenseGrid(grid.permute(0, 4, 1, 2, 3), mask.permute(0, 4, 1, 2, 3))


def run(module, x, fine_mask=None):
    """A module of the sparse network on a dense grid; ``fine_mask`` is that of an upsampling."""
    if isinstance(module, SubMConv3d) and module.kernel_size == [1, 1, 1]:
        # Of the shape (out, 1, 1, 1, in), but multiplied as an (in, out) matrix.
        weight = module.weight.view(x.feats.shape[1], -1).T
        return DenseGrid(F.conv3d(x.feats, weight[..., None, None, None]), x.mask)
    if isinstance(module, SubMConv3d):
        weight = module.weight.permute(0, 4, 1, 2, 3)
        return DenseGrid(F.conv3d(x.feats, weight, padding=1), x.mask)
    if isinstance(module, SparseInverseConv3d):
        weight = module.weight.permute(4, 0, 1, 2, 3)
        return DenseGrid(F.conv_transpose3d(x.feats, weight, stride=2), fine_mask)
    if isinstance(module, SparseConv3d):
        weight = module.weight.permute(0, 4, 1, 2, 3)
        return DenseGrid(F.conv3d(x.feats, weight, stride=2), F.max_pool3d(x.mask, 2))
    if isinstance(module, nn.BatchNorm1d):
        assert not module.training
        return DenseGrid(
            F.batch_norm(x.feats, module.running_mean, module.running_var, module.weight,
                         module.bias, eps=module.eps), x.mask)
    if isinstance(module, nn.ReLU):
        return DenseGrid(x.feats.relu(), x.mask)
    if isinstance(module, SparseBasicBlock):
        out = run(module.bn1, run(module.conv1, x))
        out = run(module.bn2, run(module.conv2, run(module.relu, out)))
        identity = x if module.downsample is None else run(module.downsample, x)
        return DenseGrid((out.feats + identity.feats).relu(), x.mask)
    assert isinstance(module, (nn.Sequential, SparseSequential)), type(module)
    for layer in module:
        x = run(layer, x, fine_mask)
    return x


def voxel_to_point(grid, coors, stride):
    """Weighted mean of up to eight voxels at each point, one point after another."""
    rows = []
    for batch, *position in coors.tolist():
        total, weights = 0, 0
        for corner in itertools.product((0, 1), repeat=3):
            cell = [p // stride + c for p, c in zip(position, corner)]
            if any(i >= size for i, size in zip(cell, grid.mask.shape[2:])):
                continue
            x, y, z = cell
            weight = float(grid.mask[batch, 0, x, y, z])
            for p, i in zip(position, cell):
                weight *= 1 - abs(p / stride - i)
            total, weights = total + weight * grid.feats[batch, :, x, y, z], weights + weight
        rows.append(total / weights)
    return torch.stack(rows)


def point_to_voxel(points, coors, grid, stride):
    """Mean of the points in each voxel, one voxel after another."""
    parents = [(batch, *(i // stride for i in cell)) for batch, *cell in coors.tolist()]
    feats = points.new_zeros(len(grid.mask), *grid.mask.shape[2:], points.shape[1])
    for parent in set(parents):
        inside = [row for row, other in enumerate(parents) if other == parent]
        feats = feats.index_put([torch.tensor([i]) for i in parent], points[inside].mean(0))
    return DenseGrid(feats.permute(0, 4, 1, 2, 3), grid.mask)


def forward(net, feats, coors):
    """What ``net``, in evaluation, has to return for voxels (M, C) and their indices (M, 4)."""
    levels = [run(net.conv_input, to_grid(feats, coors, net.stride))]
    for stage in net.encoder:
        levels.append(run(stage, levels[-1]))
    x, points = levels[-1], levels[0].at(coors)
    transforms = getattr(net, 'point_transforms', None)
    for i, (upsample, blocks) in enumerate(net.decoder):
        # SPVCNN, of four stages: at strides 16 and 4.
        if transforms is not None and i in (0, 2):
            stride, transform = {0: (16, transforms[0]), 2: (4, transforms[1])}[i]
            points = voxel_to_point(x, coors, stride) + transform(points)
            x = point_to_voxel(points, coors, x, stride)
        lateral = levels[-2 - i]
        x = run(upsample, x, lateral.mask)
        x = run(blocks, DenseGrid(torch.cat((x.feats, lateral.feats), 1), lateral.mask))
    result = x.at(coors)
    return result if transforms is None else result + transforms[2](points)


@pytest.fixture
def scene():
    """Two scans of 150 and 90 voxels in an uneven box; every scan has an index 0 on each axis."""
    torch.manual_seed(0)
    cells = [torch.unique(torch.randint(0, size, (90, 3)) * torch.tensor([1, 1, 2]) // 2, dim=0)
             for size in (64, 38)]
    cells = [torch.cat((c - c.amin(0), (c - c.amin(0))[:60] + 1)).unique(dim=0) for c in cells]
    coors = torch.cat([F.pad(c, (1, 0), value=batch) for batch, c in enumerate(cells)]).int()
    return torch.randn(len(coors), 2), coors


@pytest.mark.parametrize('kind', [SplitMinkUNet, SplitSPVCNN, SplitResUNet])
def test_network_is_what_dense_convolutions_and_loops_give(kind, scene):
    feats, coors = scene
    net = kind(**WIDTHS).eval()
    set_sparse_algorithm(net, 'cpu')
    for norm in net.modules():  # statistics of a trained network, not the neutral ones
        if isinstance(norm, nn.BatchNorm1d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.1, 0.3)
            norm.bias.data.uniform_(0.1, 0.5)
    results = []
    for function in (lambda f, c: net(f, c), lambda f, c: forward(net, f, c)):
        net.zero_grad()
        given = feats.clone().requires_grad_()
        out = function(given, coors)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append((out.detach(), given.grad, {n: p.grad for n, p in net.named_parameters()}))
    (out, given, grads), (dense_out, dense_given, dense_grads) = results
    assert out.std(0).min() > 0.01
    torch.testing.assert_close(out, dense_out, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(given, dense_given, rtol=1e-3, atol=1e-4)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, dense_grads[name], rtol=1e-3, atol=1e-3, msg=name)
