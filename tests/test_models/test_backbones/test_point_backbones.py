"""What all sparse U-Nets have in common: the pretrainer's and mmdet3d's interface."""
import pytest
import torch
from mmengine.registry import MODELS

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import mmdet3d.models  # noqa: E402,F401
from mmdet3d.structures import Det3DDataSample, PointData  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402

import nclr_plugin  # noqa: E402,F401
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

KINDS = ['SplitMinkUNet', 'SplitSPVCNN', 'SplitResUNet']
WIDTHS = dict(
    base_channels=8, encoder_channels=[8, 12, 16, 20], encoder_blocks=[1, 2, 1, 1],
    decoder_channels=[18, 14, 10, 6], decoder_blocks=[1, 1, 2, 1])


def _build(kind):
    torch.manual_seed(0)
    net = MODELS.build(dict(type=kind, **WIDTHS))
    set_sparse_algorithm(net, 'cpu')
    return net


@pytest.mark.parametrize('kind', KINDS)
def test_levels_are_what_the_attributes_say(kind, voxels):
    net = _build(kind)
    levels = net.encode(voxels.feats, voxels.coors)
    assert torch.equal(levels[0].indices, voxels.coors)
    assert [level.features.shape[1] for level in levels] == list(net.level_channels)
    assert levels[-1].features.shape[1] == net.bottleneck_channels == 20
    coarse = {(b, x // 16, y // 16, z // 16) for b, x, y, z in voxels.coors.tolist()}
    assert net.stride == 16 and set(map(tuple, levels[-1].indices.tolist())) == coarse
    result = net.decode(levels, levels[-1].features)
    assert result.shape == (len(voxels.feats), net.out_channels) and net.out_channels == 6


@pytest.mark.parametrize('kind', KINDS)
def test_gradients_reach_every_parameter_and_the_fused_features(kind, voxels):
    net = _build(kind)
    levels = net.encode(voxels.feats, voxels.coors)
    fused = (2 * levels[-1].features).requires_grad_()
    fused.retain_grad()
    net.decode(levels, fused).square().sum().backward()
    assert (fused.grad.abs().sum(1) > 0).all()
    assert [n for n, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('kind', KINDS)
def test_some_rows_are_those_of_all(kind, voxels):
    net, rows = _build(kind).eval(), torch.tensor([5, 2, 17])
    levels = net.encode(voxels.feats, voxels.coors)
    fused = 2 * levels[-1].features
    assert torch.equal(net.decode(levels, fused, rows), net.decode(levels, fused)[rows])


@pytest.mark.parametrize('kind', KINDS)
def test_a_scan_gives_in_a_batch_what_it_gives_alone(kind, voxels, assert_same_alone):
    """The edge of the smaller scan included, whatever the size of the other."""
    assert_same_alone(_build(kind).eval(), voxels)


@pytest.mark.parametrize('kind', KINDS)
def test_runs_under_bfloat16_autocast_on_the_cpu(kind, voxels):
    net = _build(kind).eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        levels = net.encode(voxels.feats, voxels.coors)
        result = net.decode(levels, levels[-1].features.bfloat16())
    assert result.dtype == torch.float32 and result.isfinite().all()


@pytest.mark.parametrize('kind', KINDS)
def test_mmdet3ds_segmentor_learns_with_it(kind, voxels):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        model = MODELS.build(dict(
            type='MinkUNet',
            backbone=dict(type=kind, **WIDTHS),
            decode_head=dict(
                type='MinkUNetHead', channels=6, num_classes=2, dropout_ratio=0, ignore_index=2,
                loss_decode=dict(type='mmdet.CrossEntropyLoss', avg_non_ignore=True))))
    set_sparse_algorithm(model, 'cpu')
    inputs = dict(voxels=dict(voxels=voxels.feats, coors=voxels.coors))
    labels = (voxels.feats[:, 2] > 0).long()
    samples = []
    for scan in (0, 1):
        mine = voxels.batch_index == scan
        samples.append(Det3DDataSample(gt_pts_seg=PointData(voxel_semantic_mask=labels[mine])))
        samples[-1].batch_idx = voxels.batch_index[mine]
        samples[-1].point2voxel_map = torch.arange(int(mine.sum()))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        losses.append(model.loss(inputs, samples)['loss_sem_seg'])
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.6 * losses[0]
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        result = model.eval().predict(inputs, samples)
    assert [len(sample.pred_pts_seg.pts_semantic_mask) for sample in result] == [
        int((voxels.batch_index == scan).sum()) for scan in (0, 1)]
