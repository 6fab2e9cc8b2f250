"""A small batch of two scans, one seen by two cameras, and a small NCLR."""
import numpy as np
import pytest
import torch

from nclr_plugin.models.layers.voxelization import voxelize
from nclr_plugin.structures import CalibrationDataSample

HEIGHT, WIDTH = 32, 64
LIDAR2CAM = np.array([[0, -1, 0, 0.1], [0, 0, -1, -0.1], [1, 0, 0, -0.2], [0, 0, 0, 1.]])
BACKWARD = np.diag([-1., -1, 1, 1])  # the rear camera: the world turned by 180 degrees


def make_sample(num_views, seed):
    """A scan of random points around the sensor and random images, as a pipeline packs them."""
    rng = np.random.default_rng(seed)
    points = np.concatenate((rng.uniform(-12, 12, (1500, 2)), rng.uniform(-2, 1, (1500, 1)),
                             rng.random((1500, 1))), 1).astype(np.float32)
    sample = CalibrationDataSample(metainfo=dict(frame_id=f'scene/{seed}', skipped_frames=[]))
    extrinsics = [LIDAR2CAM, LIDAR2CAM @ BACKWARD][:num_views]
    sample.lidar2cam = torch.from_numpy(np.stack(extrinsics))
    cam2img = torch.tensor([[40., 0, 31.5], [0, 40, 15.5], [0, 0, 1]], dtype=torch.float64)
    sample.cam2img = cam2img.repeat(num_views, 1, 1)
    imgs = torch.from_numpy(rng.integers(0, 256, (num_views, 3, HEIGHT, WIDTH), dtype=np.uint8))
    return dict(inputs=dict(points=torch.from_numpy(points), imgs=imgs), data_samples=sample)


@pytest.fixture
def batch():
    """Two scans with three views, collated."""
    samples = [make_sample(2, 0), make_sample(1, 1)]
    return dict(
        inputs=dict(
            points=[s['inputs']['points'] for s in samples],
            imgs=[s['inputs']['imgs'] for s in samples]),
        data_samples=[s['data_samples'] for s in samples])


@pytest.fixture
def config():
    """Config of a small NCLR."""
    return dict(
        type='NCLR',
        data_preprocessor=dict(type='CalibrationDataPreprocessor', voxel_size=(0.5, 0.5, 0.5)),
        point_backbone=dict(
            type='SplitMinkUNet', base_channels=8, encoder_channels=(8, 12, 16, 16),
            encoder_blocks=(1, 1, 1, 1), decoder_channels=(16, 12, 8, 8),
            decoder_blocks=(1, 1, 1, 1)),
        image_branch=dict(
            type='ResNetFPN', depth=18, base_channels=8, out_indices=(0, 1, 2), out_channels=16),
        fusion=dict(
            type='CrossModalFusion', embed_dims=24, num_heads=2, num_layers=1, ffn_channels=32),
        overlap_head=dict(type='OverlapHead'),
        yaw_head=dict(type='YawHead', embed_dims=16),
        matching_head=dict(type='MatchingHead', embed_dims=16),
        pose_head=dict(type='PoseHead', num_points=32),
        num_samples=64)


@pytest.fixture
def voxels():
    """Voxels of two scans."""
    torch.manual_seed(0)
    return voxelize([torch.randn(600, 4) * 5, torch.randn(500, 4) * 4], (0.5, 0.5, 0.5))
