"""The detectors' encoder against mmdet3d's own."""
import pytest
import torch
from torch import nn

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmdet3d.models.middle_encoders import SparseEncoder  # noqa: E402

from nclr_plugin.models.backbones.split_encoder import EDGE  # noqa: E402
from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder  # noqa: E402
from nclr_plugin.models.layers.voxelization import voxelize  # noqa: E402
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

SECOND = dict(in_channels=4)
CENTERPOINT = dict(
    in_channels=5, block_type='basicblock',
    encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
    encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, [0, 1, 1]), (0, 0)))
ENCODERS = pytest.mark.parametrize('config', [SECOND, CENTERPOINT], ids=['second', 'centerpoint'])
SHAPE = [41, 128, 160]


def _build(config):
    torch.manual_seed(0)
    net = SplitSparseEncoder(**config)
    for module in net.modules():  # statistics that are not the identity
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    set_sparse_algorithm(net, 'cpu')
    return net


@pytest.fixture
def voxels():
    torch.manual_seed(0)
    scans = [torch.rand(n, 4) * torch.tensor([6., 5., 3.9, 1.]) for n in (900, 700)]
    return voxelize(scans, (0.05, 0.05, 0.1))


@ENCODERS
def test_is_mmdet3ds_encoder_under_its_names(config, voxels):
    net = _build(config).eval()
    reference = SparseEncoder(sparse_shape=SHAPE, return_middle_feats=True, **config).eval()
    set_sparse_algorithm(reference, 'cpu')
    state = net.state_dict()
    for key in set(state) - set(reference.state_dict()):
        assert key.split('.')[0] in ('tokens', 'lateral', 'mix')
        state.pop(key)
    reference.load_state_dict(state)

    batch, x, y, z = voxels.coors.unbind(1)
    grid = torch.stack((batch, z, y + EDGE, x + EDGE), 1)
    feats = nn.functional.pad(voxels.feats, (0, config['in_channels'] - 4))
    maps = []
    net.conv_out.register_forward_hook(lambda module, args, out: maps.append(out.dense()))
    with torch.no_grad():
        bev, middle = reference(feats, grid, 2)
        levels = net.encode(voxels.feats, voxels.coors)
    strides = [1, 2, 4, 8] if config is SECOND else [2, 4, 8, 8]
    for level, expected in zip(strides, middle):
        if expected is middle[-2] and config is CENTERPOINT:
            continue  # another one of this stride follows
        mine = levels[[1, 2, 4, 8].index(level)]
        place = dict(zip(map(tuple, mine.indices.tolist()), mine.features))
        shift = {1: 12, 2: 6, 4: 3, 8: 2}[level]
        assert len(place) == len(expected.indices)
        for (b, k, j, i), value in list(zip(expected.indices.tolist(), expected.features))[::7]:
            torch.testing.assert_close(
                place[b, i - shift, j - shift, k], value, rtol=1e-5, atol=1e-5)
    (mine, ) = maps
    mine = mine.flatten(1, 2)
    assert mine.abs().sum() > 0 and mine.shape[1] == bev.shape[1] == 256
    rows, columns = (min(a, b) for a, b in zip(mine.shape[2:], bev.shape[2:]))
    torch.testing.assert_close(mine[..., :rows, :columns], bev[..., :rows, :columns],
                               rtol=1e-5, atol=1e-5)


def test_points_of_one_pillar_have_features_of_their_own(voxels):
    net = _build(SECOND).eval()
    with torch.no_grad():
        features = net(voxels.feats, voxels.coors)
    pillar, member = torch.unique(
        torch.div(voxels.coors[:, :3], 8, rounding_mode='floor'), dim=0, return_inverse=True)
    fullest = member == member.bincount().argmax()
    assert fullest.sum() > 3
    assert (torch.cdist(features[fullest], features[fullest]) + torch.eye(int(fullest.sum()))
            ).min() > 1e-3


@ENCODERS
def test_a_scan_gives_in_a_batch_what_it_gives_alone(config, voxels, assert_same_alone):
    assert_same_alone(_build(config).eval(), voxels)


@ENCODERS
def test_some_rows_are_those_of_all(config, voxels):
    net, rows = _build(config).eval(), torch.tensor([5, 2, 17])
    levels = net.encode(voxels.feats, voxels.coors)
    fused = 2 * levels[-1].features
    torch.testing.assert_close(net.decode(levels, fused, rows), net.decode(levels, fused)[rows])


@ENCODERS
def test_all_parameters_are_trained(config, voxels):
    net = _build(config)
    levels = net.encode(voxels.feats, voxels.coors)
    fused = levels[-1].features * 2
    fused.retain_grad()
    net.decode(levels, fused).square().sum().backward()
    assert fused.grad.abs().sum() > 0
    without = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_inputs_are_those_of_the_detector(voxels):
    net = _build(dict(CENTERPOINT, intensity_scale=255.))
    seen = []
    net.conv_input.register_forward_pre_hook(lambda module, args: seen.append(args[0].features))
    net.encode(voxels.feats, voxels.coors)
    torch.testing.assert_close(seen[0][:, :3], voxels.feats[:, :3])
    torch.testing.assert_close(seen[0][:, 3], voxels.feats[:, 3] * 255)
    assert seen[0].shape[1] == 5 and not seen[0][:, 4].any()


def test_runs_under_bfloat16_autocast_on_the_cpu(voxels):
    net = _build(SECOND).eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        levels = net.encode(voxels.feats.bfloat16(), voxels.coors)
        result = net.decode(levels, levels[-1].features.bfloat16())
    assert result.dtype == torch.float32 and result.isfinite().all()


def test_takes_an_initialisation():
    net = SplitSparseEncoder(init_cfg=dict(
        type='InputScaleInit', layer='conv_input.0', std=(None, None, 1., 0.5)))
    before = net.conv_input[0].weight.detach().clone()
    net.init_weights()
    torch.testing.assert_close(
        net.conv_input[0].weight.detach(), before * torch.tensor([0., 0., 1., 2.]))
