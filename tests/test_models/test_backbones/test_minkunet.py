"""MinkUNet and SPVCNN against mmdet3d's own; test_dense.py checks the values of ResUNet, SPVCNN."""
from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmdet3d.models.backbones import MinkUNetBackbone, SPVCNNBackbone  # noqa: E402
from spconv.pytorch import SparseConvTensor  # noqa: E402

from nclr_plugin.models.backbones.minkunet import (  # noqa: E402
    SplitMinkUNet, SplitResUNet, SplitSPVCNN, point_to_voxel, sparse_precision, voxel_to_point)
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

WIDTHS = dict(
    base_channels=8, encoder_channels=(8, 12, 16, 20), encoder_blocks=(1, 2, 1, 1),
    decoder_channels=(18, 14, 10, 6), decoder_blocks=(1, 1, 2, 1))


def _build(network=SplitMinkUNet, **kwargs):
    torch.manual_seed(0)
    net = network(in_channels=4, **{**WIDTHS, **kwargs})
    set_sparse_algorithm(net, 'cpu')
    return net


@pytest.mark.parametrize('blocks', [(2, 2, 2, 2), (2, 3, 4, 6)], ids=['18', '34'])
def test_encode_and_decode_are_mmdet3ds_forward(voxels, blocks):
    kwargs = dict(encoder_blocks=blocks, decoder_blocks=(2, 2, 2, 2))
    net = _build(**kwargs).eval()
    reference = MinkUNetBackbone(
        in_channels=4, sparseconv_backend='spconv',
        **{k: list(v) if isinstance(v, tuple) else v for k, v in {**WIDTHS, **kwargs}.items()})
    reference.eval()
    set_sparse_algorithm(reference, 'cpu')
    assert list(reference.state_dict()) == list(net.state_dict())
    state = net.state_dict()
    reference.load_state_dict(state)
    # mmdet3d drops voxels at the far edge of grids that are not whole bottleneck voxels: this one
    # is made whole by a voxel in its corner.
    corner = voxels.coors.amax(0) // 16 * 16 + 15
    corner[0] = 1
    feats, coors = torch.cat((voxels.feats, torch.zeros(1, 4))), torch.cat(
        (voxels.coors, corner[None]))
    with torch.no_grad():
        expected = reference(feats, coors)
        levels = net.encode(feats, coors)
        result = net.decode(levels, levels[-1].features)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(net(feats, coors), expected, rtol=1e-5, atol=1e-5)


def test_built_twice_from_one_config_gives_one_network():
    config = dict(WIDTHS, encoder_channels=list(WIDTHS['encoder_channels']))
    first, second = SplitMinkUNet(**config), SplitMinkUNet(**config)
    assert {k: v.shape for k, v in first.state_dict().items()} == \
        {k: v.shape for k, v in second.state_dict().items()}
    assert len(config['encoder_channels']) == 4


def test_bottleneck_voxels_lie_where_their_points_are(voxels):
    net = _build()
    levels = net.encode(voxels.feats, voxels.coors)
    coors = levels[-1].indices
    centres = voxels.centres(coors, net.stride) + voxels.centre[coors[:, 0].long()]
    for batch in (0, 1):
        mine = centres[coors[:, 0] == batch]
        points = voxels.points[voxels.batch_index == batch]
        reach = net.stride * 0.5 / 2 + 0.5
        offset = (mine[:, None] - points[None]).abs().amax(-1).amin(1)
        assert (offset <= reach).all()


def test_batch_statistics_make_evaluation_equal_training_and_store_nothing(voxels):
    torch.manual_seed(0)
    net = SplitMinkUNet(in_channels=4, batch_stats_in_eval=True, **WIDTHS)
    set_sparse_algorithm(net, 'cpu')
    trained = net.train()(voxels.feats, voxels.coors)
    stored = {k: v.clone() for k, v in net.state_dict().items() if 'running' in k}
    torch.testing.assert_close(net.eval()(voxels.feats, voxels.coors), trained)
    assert all(torch.equal(net.state_dict()[k], v) for k, v in stored.items())
    net.train()(voxels.feats * 2, voxels.coors)
    assert not all(torch.equal(net.state_dict()[k], v) for k, v in stored.items())


@pytest.mark.parametrize('dtype, half', [(torch.float16, True), (torch.bfloat16, False),
                                         (None, False)])
def test_sparse_convolutions_on_a_gpu_are_in_half_precision_under_a_scaler_alone(
        monkeypatch, dtype, half):
    """spconv casts to float16 under any autocast, and bfloat16 goes without a gradient scaler."""
    monkeypatch.setattr('torch.is_autocast_enabled', lambda: dtype is not None)
    monkeypatch.setattr('torch.get_autocast_gpu_dtype', lambda: dtype)
    monkeypatch.setattr('torch.autocast', lambda kind, enabled: (kind, enabled))
    for kind, expected in (('cuda', half), ('cpu', False)):
        tensor = SimpleNamespace(device=torch.device(kind))
        assert sparse_precision(tensor) == (kind, expected)


def test_statistics_of_the_scans_stay_so_where_batch_norm_is_synchronised():
    net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(_build(batch_stats_in_eval=True))
    norms = [module for module in net.modules() if isinstance(module, torch.nn.SyncBatchNorm)]
    assert norms
    assert all(norm.training and norm.momentum == 0 for norm in net.eval() and norms)
    assert all(norm.training and norm.momentum == 0.1 for norm in net.train() and norms)


@pytest.mark.parametrize('blocks', [(2, 2, 2, 2), (2, 3, 4, 6)], ids=['18', '34'])
def test_keys_are_those_of_minkunet_without_its_second_convolution(blocks):
    keys = list(SplitMinkUNet(encoder_blocks=blocks).state_dict())
    assert list(SplitResUNet(encoder_blocks=blocks).state_dict()) == [
        key for key in keys if not key.startswith('conv_input.1.')]


def test_first_level_depends_on_the_neighbours_of_a_voxel_and_no_more():
    net = SplitResUNet(in_channels=1).eval()
    set_sparse_algorithm(net, 'cpu')
    feats = torch.ones(5, 1, requires_grad=True)
    coors = torch.tensor([[0, 0, 0, z] for z in range(5)]).int()
    net.encode(feats, coors)[0].features[2].sum().backward()
    assert (feats.grad[:, 0] != 0).tolist() == [False, True, True, True, False]


def test_keys_and_shapes_are_mmdet3ds(monkeypatch):
    init = MinkUNetBackbone.__init__

    def on_spconv(self, *args, **kwargs):
        init(self, *args, **{**kwargs, 'sparseconv_backend': 'spconv'})

    monkeypatch.setattr(MinkUNetBackbone, '__init__', on_spconv)
    reference = SPVCNNBackbone(
        in_channels=4, **{k: list(v) if isinstance(v, tuple) else v for k, v in WIDTHS.items()})
    theirs, ours = ({k: v.shape for k, v in net.state_dict().items()}
                    for net in (reference, _build(SplitSPVCNN)))
    assert 'point_transforms.2.1.running_var' in ours
    assert list(ours.items()) == list(theirs.items())


def test_points_on_voxels_corners_have_their_features_and_others_a_mixture():
    voxels = SparseConvTensor(
        torch.tensor([[1., 10.], [2., 20.], [4., 40.]]),
        torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0]]).int(), [2, 2, 2], 2)
    points = torch.tensor([[0, 0, 0, 0], [0, 4, 0, 0], [0, 1, 0, 0], [0, 7, 3, 2], [1, 5, 1, 3]])
    result = voxel_to_point(voxels, points.int(), 4)
    torch.testing.assert_close(
        result[:, 0], torch.tensor([1., 2., 0.75 + 0.25 * 2, 2., 4.]))
    torch.testing.assert_close(result[:, 1], 10 * result[:, 0])


def test_voxels_get_the_mean_of_their_points_in_any_order():
    torch.manual_seed(0)
    points = torch.randint(0, 16, (200, 4)) * torch.tensor([1, 1, 1, 2])
    points[:, 0] %= 3
    cells = torch.cat((points[:, :1], points[:, 1:] // 4), 1)
    indices, inverse = torch.unique(cells, dim=0, return_inverse=True)
    order = torch.randperm(len(indices))
    voxels = SparseConvTensor(torch.zeros(len(indices), 1), indices[order].int(), [4, 4, 8], 3)
    feats = torch.randn(200, 5)
    expected = torch.stack([feats[inverse == row].mean(0) for row in order])
    torch.testing.assert_close(point_to_voxel(feats, points.int(), voxels, 4), expected)


def test_half_precision_is_summed_in_single():
    points = torch.zeros(3000, 4).int()
    voxels = SparseConvTensor(torch.zeros(1, 1), points[:1], [1, 1, 1], 1)
    mean = point_to_voxel(torch.full((3000, 1), 100.).bfloat16(), points, voxels, 16)
    assert mean.dtype == torch.bfloat16 and mean.item() == 100


def test_fused_features_reach_the_points_at_once(voxels):
    """Not only through the decoder: with dead up-sampling the output still depends on them."""
    net = _build(SplitSPVCNN).eval()
    levels = net.encode(voxels.feats, voxels.coors)
    for upsample, _ in net.decoder:
        nn.init.zeros_(upsample[0].weight)
    fused = levels[-1].features.detach().requires_grad_()
    net.decode(levels, fused).square().sum().backward()
    assert (fused.grad.abs().sum(1) > 0).all()


def test_a_network_of_three_stages_trains_every_parameter(voxels):
    net = _build(SplitSPVCNN, encoder_channels=(8, 12, 16), encoder_blocks=(1, 1, 1),
                 decoder_channels=(18, 14, 10), decoder_blocks=(1, 1, 1))
    net(voxels.feats, voxels.coors).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_dropout_is_that_of_training(voxels):
    net = _build(SplitSPVCNN, drop_ratio=0.5)
    still = _build(SplitSPVCNN, drop_ratio=0.)
    still.load_state_dict(net.state_dict())
    outs = [n.train()(voxels.feats, voxels.coors) for n in (net, still)]
    assert not torch.equal(*outs)
    still.load_state_dict(net.state_dict())
    outs = [n.eval()(voxels.feats, voxels.coors) for n in (net, still)]
    assert torch.equal(*outs)
