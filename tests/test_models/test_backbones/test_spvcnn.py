"""SPVCNN: mmdet3d's keys, what points and voxels exchange. Its values: test_dense.py."""
import pytest
import torch

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmdet3d.models.backbones import MinkUNetBackbone, SPVCNNBackbone  # noqa: E402
from spconv.pytorch import SparseConvTensor  # noqa: E402
from torch import nn  # noqa: E402

from nclr_plugin.models.backbones.spvcnn import (SplitSPVCNN, point_to_voxel,  # noqa: E402
                                                 voxel_to_point)
from nclr_plugin.utils.sparse import set_sparse_algorithm  # noqa: E402

WIDTHS = dict(
    base_channels=8, encoder_channels=(8, 12, 16, 20), encoder_blocks=(1, 2, 1, 1),
    decoder_channels=(18, 14, 10, 6), decoder_blocks=(1, 1, 2, 1))


def _build(**kwargs):
    torch.manual_seed(0)
    net = SplitSPVCNN(in_channels=4, **{**WIDTHS, **kwargs})
    set_sparse_algorithm(net, 'cpu')
    return net


def test_keys_and_shapes_are_mmdet3ds(monkeypatch):
    init = MinkUNetBackbone.__init__

    def on_spconv(self, *args, **kwargs):
        init(self, *args, **{**kwargs, 'sparseconv_backend': 'spconv'})

    monkeypatch.setattr(MinkUNetBackbone, '__init__', on_spconv)
    reference = SPVCNNBackbone(
        in_channels=4, **{k: list(v) if isinstance(v, tuple) else v for k, v in WIDTHS.items()})
    theirs, ours = (
        {k: v.shape for k, v in net.state_dict().items()} for net in (reference, _build()))
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
    net = _build().eval()
    levels = net.encode(voxels.feats, voxels.coors)
    for upsample, _ in net.decoder:
        nn.init.zeros_(upsample[0].weight)
    fused = levels[-1].features.detach().requires_grad_()
    net.decode(levels, fused).square().sum().backward()
    assert (fused.grad.abs().sum(1) > 0).all()


def test_a_network_of_three_stages_trains_every_parameter(voxels):
    net = _build(encoder_channels=(8, 12, 16), encoder_blocks=(1, 1, 1),
                 decoder_channels=(18, 14, 10), decoder_blocks=(1, 1, 1))
    net(voxels.feats, voxels.coors).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


def test_dropout_is_that_of_training(voxels):
    net = _build(drop_ratio=0.5)
    still = _build(drop_ratio=0.)
    still.load_state_dict(net.state_dict())
    outs = [n.train()(voxels.feats, voxels.coors) for n in (net, still)]
    assert not torch.equal(*outs)
    still.load_state_dict(net.state_dict())
    outs = [n.eval()(voxels.feats, voxels.coors) for n in (net, still)]
    assert torch.equal(*outs)
