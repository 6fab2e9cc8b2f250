"""NCLR and CrossI2P behind the same call, on a real frame."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from nclr_plugin.apis import Calibrator, load_scan
from nclr_plugin.datasets import CalibrationDataset, KittiObjectReader
from nclr_plugin.datasets.transforms.loading import read_image

pytest.importorskip('mmdet3d')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SMALL = {
    'nclr/nclr_minkunet_demo.py': {
        'model.point_backbone.encoder_channels': (8, 8, 8), 'model.fusion.num_layers': 1,
        'model.point_backbone.encoder_blocks': (1, 1, 1),
        'model.point_backbone.decoder_channels': (8, 8, 8),
        'model.point_backbone.decoder_blocks': (1, 1, 1)},
    'crossi2p/crossi2p_demo.py': {'model.transformer.num_layers': 1},
}


@pytest.mark.parametrize('name', list(SMALL))
def test_the_answer_is_that_of_an_evaluation(name, shared_data, tmp_path):
    """The same pose as through data set, reader and pipeline."""
    config = Config.fromfile(str(CONFIGS / name))
    config.merge_from_dict({
        **SMALL[name], 'model.image_branch.base_channels': 8,
        # An untrained network finds no overlap, but there shall be a pose.
        'model.overlap_head.thresholds': (0., 0.), 'model.pose_head.inlier_threshold': 200.,
        'model.pose_head.max_iterations': 50, 'model.num_test_points': 300})
    for step in config.test_dataloader.dataset.pipeline:
        if step['type'] == 'CropPoints':
            step.point_cloud_range = [-12., -12., -3., 12., 12., 5.]
        elif step['type'] == 'VoxelSample':
            step.num_points = 20000  # all: which ones are drawn depends on what was drawn before
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        model = MODELS.build(config.model)
    path = tmp_path / 'network.pth'
    torch.save(dict(meta=dict(cfg=config.pretty_text), state_dict=model.state_dict()), path)
    calibrator = Calibrator(str(path), device='cpu', search=False)

    root = shared_data / 'kitti_object'
    # Even a transform that displaces nothing moves points by a rounding error, into other voxels.
    pipeline = [step for step in config.test_dataloader.dataset.pipeline
                if step['type'] != 'RandomRigidTransform']
    data = CalibrationDataset(
        str(root), KittiObjectReader(), pipeline, test_mode=True, indices=1)
    frame = data.get_data_info(0)
    view = frame['images'][0]
    found = calibrator(read_image('', view), load_scan(frame['lidar_path']), view['cam2img'])

    sample = data[0]
    batch = dict(inputs={key: [value] for key, value in sample['inputs'].items()},
                 data_samples=[sample['data_samples']])
    with torch.no_grad():
        expected, = calibrator.model.test_step(batch)
    assert found.valid == bool(expected.pred_valid[0])
    np.testing.assert_allclose(found.lidar2cam, expected.pred_lidar2cam[0], atol=1e-4)
    assert found.inlier_ratio == pytest.approx(float(expected.pred_inlier_ratio[0]))
    matches = expected.pred_matches[0]
    assert len(matches.points) > 50
    np.testing.assert_allclose(found.matches.points, matches.points, atol=1e-5)
    scale = np.array([320, 96]) / found.image.shape[1::-1]
    np.testing.assert_allclose((found.matches.pixels + 0.5) * scale - 0.5, matches.pixels,
                               atol=1e-3)
    assert not found.reliable
    assert found.overlay().shape[1] >= found.image.shape[1]
