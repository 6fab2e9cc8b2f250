"""The assembled network: losses, switches, what the heads get."""
import copy

import pytest
import torch
from mmengine.model import convert_sync_batchnorm

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import nclr_plugin  # noqa: E402,F401
from networks import build, run  # noqa: E402
from nclr_plugin.geometry.camera import sector_columns  # noqa: E402
from nclr_plugin.models.heads.yaw_head import YawPrediction, column_codes  # noqa: E402
from nclr_plugin.models.layers.attention import circular_harmonics  # noqa: E402
from nclr_plugin.models.layers.batching import group_voxels_by_view, random_subset  # noqa: E402
from nclr_plugin.models.pretrainers.features import GroundTruth  # noqa: E402


def test_losses_are_finite_and_train_every_parameter(config, batch):
    model = build(config)
    losses, _ = run(model, batch, 'loss')
    assert set(losses) == {
        'loss_point', 'loss_pixel', 'loss_overlap', 'loss_yaw', 'loss_pose'}
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_table_6_switches(config, batch):
    config['loss_weights'] = dict(pose=0.)
    assert set(run(build(config), batch, 'loss')[0]) == {
        'loss_point', 'loss_pixel', 'loss_overlap', 'loss_yaw'}
    del config['yaw_head']
    assert set(run(build(config), batch, 'loss')[0]) == {
        'loss_point', 'loss_pixel', 'loss_overlap'}
    del config['overlap_head']
    assert set(run(build(config), batch, 'loss')[0]) == {'loss_point', 'loss_pixel'}
    config['matching_head']['alignment'] = False
    model = build(config)
    assert 'matching_head.alignment_weight' not in dict(model.named_parameters())
    sum(run(model, batch, 'loss')[0].values()).backward()


def test_position_free_loss_trains_the_backbones_alone(config, batch):
    config['position_free_head'] = dict(type='PositionFreeContrastiveHead')
    config['loss_weights'] = dict(feature=0., overlap=0., yaw=0., pose=0., position_free=2.)
    model = build(config)
    losses, data = run(model, batch, 'loss')
    sum(losses.values()).backward()
    trained = {n.split('.')[0] for n, p in model.named_parameters()
               if p.grad is not None and p.grad.abs().sum() > 0}
    assert trained == {'position_free_head', 'point_backbone', 'image_branch'}

    features = model.extract_features(data['inputs'])
    truth = GroundTruth.project(data['inputs'], features, model.overlap_dilation)
    columns, valid = random_subset(truth.visible, model.num_samples)
    seen, embedded = [], []
    with torch.no_grad():
        for scale in (1., 0.):
            features.voxels.feats[:, :3] *= scale
            features.voxels.points[:] *= scale
            embedded.append(model.embed_points(features, columns))
            seen.append(model.feature_losses(features, truth, columns, valid, embedded[-1])[
                'loss_position_free'])
    assert not torch.equal(*embedded)
    torch.testing.assert_close(*seen, msg='positions must not tell a point')


def test_heads_see_a_random_subset_in_training_and_all_voxels_in_evaluation(config, batch):
    model = build(config)
    whole, data = run(model, batch, 'tensor')
    model.num_voxels = 40
    assert min(data['inputs'].voxels.counts) > 40
    some = model.train().extract_features(data['inputs'])
    assert some.voxels.counts == (40, 40) and some.rows.unique().numel() == 80
    assert some.view_voxels.idx.shape == (3, 40) and some.view_voxels.mask.all()
    torch.testing.assert_close(some.voxels.points, data['inputs'].voxels.points[some.rows])
    again = model.extract_features(data['inputs'])
    assert not torch.equal(again.rows, some.rows)
    truth = GroundTruth.project(data['inputs'], some, model.overlap_dilation)
    losses = model.loss(data['inputs'], some, truth)
    assert all(value.isfinite() for value in losses.values())
    tested = model.eval().extract_features(data['inputs'])
    assert tested.rows is None and len(tested.points) == len(whole.points)
    assert torch.equal(tested.yaw.logits, model.extract_features(data['inputs']).yaw.logits)


def test_sectors_lie_where_the_camera_sees_them(config, batch):
    """Points in the middle of each sector, projected by OpenCV's convention."""
    model = build(config)
    _, data = run(model, batch, 'loss')
    imgs = data['inputs'].imgs
    columns = sector_columns(data['inputs'].cam2img, 192, stride=8)
    assert imgs.shape[-1] % 8 == 0
    azimuth = torch.arange(columns.shape[1]) * 2 * torch.pi / columns.shape[1]
    ray = torch.stack((-azimuth.sin(), torch.zeros_like(azimuth), azimuth.cos()), 1)  # camera frame
    ahead = azimuth.cos() > 0.01
    for view, cam2img in enumerate(data['inputs'].cam2img):
        projected = ray[ahead] @ cam2img.T
        centre = (projected[:, 0] / projected[:, 2] + 0.5) / 8 - 0.5
        torch.testing.assert_close(columns[view, ahead], centre, rtol=1e-3, atol=1e-3)
        assert columns[view, ~ahead].isinf().all()


def test_loss_weights_scale_their_terms(config, batch):
    config['num_samples'] = 10000  # no sampling: equal terms
    one = run(build(config), batch, 'loss')[0]
    config['loss_weights'] = dict(feature=2., overlap=2., pose=0.2)
    two = run(build(config), batch, 'loss')[0]
    torch.testing.assert_close(two['loss_point'], 2 * one['loss_point'])
    torch.testing.assert_close(two['loss_pixel'], 2 * one['loss_pixel'])
    torch.testing.assert_close(two['loss_overlap'], 4 * one['loss_overlap'])


def test_fusion_and_heads_get_the_azimuths_of_the_known_yaw(config, batch):
    """Pixels get the azimuth of their rays in the LiDAR frame, points theirs in the camera's."""
    model = build(config)
    _, data = run(model, batch, 'tensor')
    inputs = data['inputs']
    axis = inputs.lidar2cam[:, 2, :2]
    yaw = torch.atan2(axis[:, 1], axis[:, 0])
    sure = YawPrediction(None, circular_harmonics(yaw, model.yaw_head.num_harmonics))
    codes = column_codes(sure, inputs, 16)
    for view in range(3):
        lidar2cam, k = inputs.lidar2cam[view].double(), inputs.cam2img[view].double()
        u = torch.tensor([4 * 5 + 1.5, 15.5, 1.]).double()  # the centre of column 5
        ray = lidar2cam[:3, :3].T @ torch.linalg.solve(k, u)
        expected = circular_harmonics(torch.atan2(ray[1], ray[0]), 16).float()
        torch.testing.assert_close(codes[view, 5], expected, atol=1e-3, rtol=0)

    view_voxels = group_voxels_by_view(inputs.voxels.counts, inputs.view_batch_index)
    bearings = sure.bearing_codes(inputs.voxels.relative_points, view_voxels)
    points = inputs.voxels.relative_points[view_voxels.idx[0, 7]]
    difference = torch.atan2(points[1], points[0]) - yaw[0]
    expected = circular_harmonics(difference, 16)
    torch.testing.assert_close(bearings[0, 7], expected, atol=1e-3, rtol=0)


def test_disagreeing_matches_give_no_pose_loss(config, batch):
    config['pose_head'] = dict(type='PoseHead', num_points=32, max_reprojection_error=1e-6)
    config['overlap_head'].update(thresholds=(0., 0.))
    assert float(run(build(config), batch, 'loss')[0]['loss_pose']) == 0
    config['pose_head'].update(max_reprojection_error=1e6)
    assert float(run(build(config), batch, 'loss')[0]['loss_pose']) > 0


def test_a_scan_that_no_camera_sees_is_survived(config, batch):
    batch['inputs']['points'][1][:, :3] = torch.rand(1500, 3) * torch.tensor([-10., 2., 1.]) - 1
    model = build(config)
    losses, _ = run(model, batch, 'loss')
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_one_view_in_the_batch(config, batch):
    single = dict(
        inputs={k: v[1:] for k, v in batch['inputs'].items()},
        data_samples=batch['data_samples'][1:])
    losses, _ = run(build(config), single, 'loss')
    assert all(value.isfinite() for value in losses.values())


def test_bfloat16_autocast_trains(config, batch):
    model = build(config).train()
    data = model.data_preprocessor(batch, True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_batch_is_the_mean_of_its_scans(config, batch):
    """So that two processes with one scan each train as one process with two (BatchNorm aside)."""
    batch['inputs']['imgs'][0] = batch['inputs']['imgs'][0][:1]
    batch['data_samples'][0].lidar2cam = batch['data_samples'][0].lidar2cam[:1]
    batch['data_samples'][0].cam2img = batch['data_samples'][0].cam2img[:1]
    config['num_samples'] = 10000
    model = build(config)
    model.pose_loss_scale = 0.
    both = run(model, batch, 'loss', training=False)[0]
    single = [
        run(model, dict(inputs={k: v[i:i + 1] for k, v in batch['inputs'].items()},
                        data_samples=batch['data_samples'][i:i + 1]), 'loss', training=False)[0]
        for i in range(2)]
    for name, value in both.items():
        torch.testing.assert_close(value, (single[0][name] + single[1][name]) / 2,
                                   rtol=1e-3, atol=1e-4)


def test_a_frozen_image_branch_stays_frozen_where_batch_norm_is_synchronised(config, batch):
    """``sync_bn='torch'`` of mmdet3d replaces every BatchNorm; in one process nothing changes."""
    config['image_branch']['frozen'] = True
    losses = []
    for convert in (lambda model: model, lambda model: convert_sync_batchnorm(model, 'torch')):
        model = convert(build(config))
        encoder = model.image_branch.encoder
        before = copy.deepcopy(encoder.state_dict())
        torch.manual_seed(1)
        found, _ = run(model, batch, 'loss')
        sum(found.values()).backward()
        losses.append({name: float(value) for name, value in found.items()})
        assert all(p.grad is None for p in encoder.parameters())
        assert all(torch.equal(value, before[n]) for n, value in encoder.state_dict().items())
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in encoder.modules())
    assert losses[0] == pytest.approx(losses[1])
