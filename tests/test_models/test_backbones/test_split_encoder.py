"""Where the levels of a split encoder lie, and what a point gets from each."""
import pytest
import torch
from torch import nn

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder  # noqa: E402
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402


@pytest.fixture
def net():
    """SECOND's encoder, split."""
    torch.manual_seed(0)
    net = SplitSparseEncoder(in_channels=4)
    set_sparse_algorithm(net, 'cpu')
    return net.eval()


def _pass_on(net):
    """Every convolution passes on the value at its kernel's centre; tokens are means of four."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.zeros_(module.running_mean), nn.init.ones_(module.running_var)
            module.eps = 0.
        elif hasattr(module, 'kernel_size') and hasattr(module, 'weight'):
            weight = torch.zeros_like(module.weight)
            centre = [slice(None) if k == 2 else k // 2 for k in module.kernel_size]
            channels = min(weight.shape[0], weight.shape[-1])
            for c in range(channels):  # out, z, y, x, in
                weight[(c, *centre, c)] = 0.25 if 2 in module.kernel_size else 1.
            module.weight.data = weight


def _block():
    """Every second voxel of a block, dense for coarser strides; features are indices."""
    cells = [torch.arange(4, 100, 2), torch.arange(2, 90, 2), torch.arange(0, 41, 2)]
    xyz = torch.stack(torch.meshgrid(*cells, indexing='ij'), -1).view(-1, 3)
    coors = torch.cat((torch.zeros(len(xyz), 1), xyz), 1).int()
    return torch.cat((xyz, torch.ones(len(xyz), 1)), 1).float(), coors


def _inside(positions, low, high):
    return ((positions > torch.tensor(low)) & (positions < torch.tensor(high))).all(1)


def test_levels_lie_where_their_kernels_look(net):
    _pass_on(net)
    feats, coors = _block()
    with torch.no_grad():
        levels = net.encode(feats, coors)
    assert len(levels) == 5 and net.stride == 16
    for number, level in enumerate(levels):
        stride = 2**number
        said = level.indices[:, 1:] * stride + (stride - 1) / 2
        inside = _inside(said, (30., 30, 7), (70., 60, 33))
        assert inside.any()
        off = (level.features[:, :3] - said)[inside].abs().amax(0)
        assert off.max() <= stride / 2
        if stride >= 8:  # those whose positions the pretrainer uses
            assert off[:2].max() <= 0.5
            assert off[2] <= (0.5 if stride == 8 else 4.5)  # conv_out's kernel is mmdet3d's


def test_points_get_what_lies_around_them_from_each_stride(net):
    """Of a field that is linear in space, each stride's interpolation gives the value itself."""
    _pass_on(net)
    net.mix = nn.Identity()
    feats, coors = _block()
    inside = _inside(coors[:, 1:].float(), (30., 30, 12), (70., 60, 28))
    with torch.no_grad():
        levels = net.encode(feats, coors)
        for number in range(len(levels)):
            for other, linear in enumerate(net.lateral):
                nn.init.zeros_(linear.weight)
                if other == number:
                    linear.weight[:3, :3] = torch.eye(3)
            result = net.decode(levels, levels[-1].features)[:, :3]
            torch.testing.assert_close(result[inside], coors[inside, 1:].float(), rtol=1e-4,
                                       atol=1e-3)


def test_scans_higher_than_the_detectors_grid_lose_nothing(net):
    coors = torch.tensor([[0, 0, 0, z] for z in (0, 30, 41, 60)], dtype=torch.int32)
    levels = net.encode(torch.ones(4, 4), coors)
    top = levels[-1].indices[:, 3].max()
    assert len(levels[0].features) == 4 and top == 3  # whose centre is voxel 16 * 3 + 12
