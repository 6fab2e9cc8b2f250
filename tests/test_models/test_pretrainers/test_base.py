"""What the calibration networks share: predictions, the scale of the pose losses."""
import pytest
import torch

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import nclr_plugin  # noqa: E402,F401
from networks import build, run  # noqa: E402
from nclr_plugin.models.pretrainers.features import GroundTruth  # noqa: E402


def test_predictions_have_a_place_for_every_view(config, batch):
    config['overlap_head'].update(thresholds=(0.0, 0.0))
    samples, _ = run(build(config), batch, 'predict', training=False)
    assert [len(s.pred_valid) for s in samples] == [2, 1]
    for sample in samples:
        assert sample.pred_lidar2cam.shape == sample.lidar2cam.shape
        assert sample.pred_lidar2cam.dtype == torch.float64
        R = sample.pred_lidar2cam[:, :3, :3]
        torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=R.dtype).expand_as(R))
        assert len(sample.pred_matches) == len(sample.pred_valid)
        for found in sample.pred_matches:
            assert found.points.shape[1] == 3 and found.pixels.shape[1] == 2
            assert len(found.points) == len(found.pixels) == len(found.scores) > 0


def test_no_predicted_overlap_is_a_failure_not_a_crash(config, batch):
    config['overlap_head'].update(thresholds=(1.0, 0.5))
    samples, _ = run(build(config), batch, 'predict', training=False)
    assert not any(sample.pred_valid.any() for sample in samples)


def test_true_matches_give_the_true_pose(config, batch):
    """With the network's matches replaced by the truth the whole prediction path is exact."""
    model = build(config)
    features, data = run(model, batch, 'tensor', training=False)
    truth = GroundTruth.project(data['inputs'], features, model.overlap_dilation)
    for view in range(3):
        visible = truth.visible[view]
        points = data['inputs'].voxels.points[features.view_voxels.idx[view, visible]]
        pose = model.pose_head.predict(points, truth.pixels[view, visible],
                                       data['inputs'].cam2img[view])
        expected = data['inputs'].lidar2cam[view].to(pose.R.dtype)
        assert pose.success
        torch.testing.assert_close(pose.R, expected[:3, :3], atol=1e-3, rtol=0)
        torch.testing.assert_close(pose.t, expected[:3, 3], atol=1e-2, rtol=0)


def test_pose_schedule_switches_the_pose_loss(config, batch):
    model = build(config)
    model.pose_loss_scale = 0.
    assert 'loss_pose' not in run(model, batch, 'loss')[0]
