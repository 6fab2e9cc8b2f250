"""What the calibration networks share: ground truth, predictions, the scale of the pose losses."""
import numpy as np
import pytest
import torch

from nclr_plugin.geometry.camera import CellGrid
from nclr_plugin.models.pretrainers.base import Features, GroundTruth

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
import nclr_plugin  # noqa: E402,F401
from networks import build, run  # noqa: E402


def test_ground_truth_is_the_projection_of_every_voxel(config, batch):
    model = build(config)
    features, data = run(model, batch, 'tensor')
    inputs = data['inputs']
    truth = model.ground_truth(inputs, features)
    for view in range(3):
        scan = inputs.view_batch_index[view]
        points = inputs.voxels.points[inputs.voxels.batch_index == scan].double().numpy()
        pose, k = inputs.lidar2cam[view].double().numpy(), inputs.cam2img[view].numpy()
        camera = points @ pose[:3, :3].T + pose[:3, 3]
        pixel = camera @ k.T
        inside = camera[:, 2] > 0.1
        uv = pixel[:, :2] / np.where(inside, pixel[:, 2], 1)[:, None]
        inside &= (uv > -0.5).all(1) & (uv[:, 0] < 63.5) & (uv[:, 1] < 31.5)
        mask = features.view_voxels.mask[view]
        assert truth.visible[view, mask].tolist() == inside.tolist()
        np.testing.assert_allclose(truth.pixels[view, mask].numpy()[inside], uv[inside], atol=1e-3)
        cells = {(int((v + .5) // 4), int((u + .5) // 4)) for u, v in uv[inside]}
        assert truth.pixel_labels[view].sum() >= len(cells)
        assert all(truth.pixel_labels[view][cell] for cell in cells)


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
    truth = model.ground_truth(data['inputs'], features)
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


def test_centres_are_the_means_of_the_pixels_of_each_cell():
    grid = CellGrid(8, 12, 4)
    features = Features(None, None, torch.zeros(1, 6, 5), grid, None, None, None, None)
    v, u = torch.meshgrid(torch.arange(8.), torch.arange(12.), indexing='ij')
    pixels = torch.stack((u, v), -1).view(2, 4, 3, 4, 2).mean((1, 3)).view(-1, 2)
    torch.testing.assert_close(features.centres, pixels)


def test_projections_of_sampled_points_are_theirs():
    pixels = torch.rand(2, 7, 2)
    truth = GroundTruth(pixels, None, None)
    columns = torch.tensor([[6, 0, 0], [1, 2, 3]])
    expected = torch.stack([pixels[0, [6, 0, 0]], pixels[1, [1, 2, 3]]])
    assert torch.equal(truth.take_pixels(columns), expected)
