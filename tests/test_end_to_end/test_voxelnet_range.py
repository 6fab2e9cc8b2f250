"""How much of what the camera sees the range leaves: the figures of nclr_voxelnet_*."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

from nclr_plugin.datasets.calibration_dataset import CalibrationDataset
from nclr_plugin.datasets.transforms import CropPoints, RandomRigidTransform
from nclr_plugin.geometry.camera import in_view, project_points

from .test_configs import ROOT

REPEATS = 5
DETECTOR_RANGE = (0, -40, -3, 70.4, 40, 1)


def seen(results, view=0):
    """How many points the camera sees."""
    height, width = results['imgs'][view].shape[:2]
    pixels, depth = project_points(
        torch.from_numpy(results['points'][None, :, :3]).double(),
        torch.from_numpy(results['lidar2cam'][[view]]),
        torch.from_numpy(results['cam2img'][[view]]))
    return int(in_view(pixels, depth, height, width).sum())


def steps_of(name):
    """Steps of a config's training pipeline, and its crop."""
    config = Config.fromfile(str(ROOT / 'configs' / 'nclr' / f'{name}.py'),
                             import_custom_modules=False)
    steps = config.train_dataloader.dataset.pipeline
    crop = next(step for step in steps if step['type'] == 'CropPoints')
    return steps, CropPoints(crop['point_cloud_range'])


def test_range_before_rigid_transform_keeps_the_cameras_view(shared_data):
    steps, crop = steps_of('nclr_voxelnet_semantickitti')
    place = RandomRigidTransform(**{key: value for key, value in next(
        s for s in steps if s['type'] == 'RandomRigidTransform').items() if key != 'type'})
    frames = CalibrationDataset(
        data_root=str(shared_data / 'kitti_object'),
        reader=dict(type='KittiObjectReader', frame_list=[f'{i:06d}' for i in range(0, 20, 3)]),
        pipeline=[dict(type='LoadPoints'), dict(type='LoadImages')], test_mode=True)
    before, after = [], []
    for number in range(len(frames)):
        frame = frames[number]
        whole = seen(frame)
        for seed in range(REPEATS):
            kept = place(crop(dict(frame, rng=np.random.default_rng([number, seed]))))
            before.append(seen(kept) / whole)
            moved = place(dict(frame, rng=np.random.default_rng([number, seed])))
            inside = CropPoints(DETECTOR_RANGE)
            rows = ((moved['points'][:, :3] >= inside.low)
                    & (moved['points'][:, :3] < inside.high)).all(1)
            after.append(seen(dict(moved, points=moved['points'][rows])) / whole)
    assert min(before) > 0.89 and np.mean(before) == pytest.approx(0.95, abs=0.02)
    assert np.mean(after) == pytest.approx(0.5, abs=0.2) and min(after) < 0.05


@pytest.mark.parametrize('name, kept, worst', [
    ('nclr_voxelnet_nuscenes', 0.753, 0.716), ('nclr_centerpoint_nuscenes', 0.879, 0.802)])
def test_heights_of_the_detectors_on_nuscenes(name, kept, worst, shared_data):
    """The heights are the detectors': they cost a lot here, and how much is told."""
    frames = CalibrationDataset(
        data_root=str(shared_data / 'nuscenes_frame'),
        reader=dict(type='NuScenesReader', info_file='info_v2.pkl'),
        pipeline=[dict(type='LoadPoints'), dict(type='LoadImages')], test_mode=True)
    frame = frames[0]
    before = np.array([seen(frame, view) for view in range(6)])
    _, crop = steps_of(name)
    after = np.array([seen(crop(dict(frame)), view) for view in range(6)])
    assert after.sum() / before.sum() == pytest.approx(kept, abs=5e-4)
    assert (after / before).min() == pytest.approx(worst, abs=5e-4)
