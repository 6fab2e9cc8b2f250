"""MinkUNet against mmdet3d's own; ResUNet, whose values test_dense.py checks."""
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmdet3d.models.backbones import MinkUNetBackbone  # noqa: E402

from nclr_plugin.models.backbones.minkunet import (SplitMinkUNet, SplitResUNet,  # noqa: E402
                                                   sparse_precision)
from nclr_plugin.utils.sparse import set_sparse_algorithm  # noqa: E402

WIDTHS = dict(
    base_channels=8, encoder_channels=(8, 12, 16, 16), encoder_blocks=(1, 1, 1, 1),
    decoder_channels=(16, 12, 8, 8), decoder_blocks=(1, 1, 1, 1))


def _build(**kwargs):
    torch.manual_seed(0)
    net = SplitMinkUNet(in_channels=4, **{**WIDTHS, **kwargs})
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
