import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from nclr_plugin.structures import CalibrationDataSample

AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])
HEIGHT, WIDTH, STRIDE = 40, 80, 4
K = np.array([[60., 0, 39.5], [0, 60., 19.5], [0, 0, 1]])


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def points():
    """In front of and behind the camera at the origin of the LiDAR frame."""
    rng = np.random.default_rng(1)
    ahead = rng.uniform([8, -4, -1.5, 0], [20, 4, 1.5, 1], (200, 4))
    behind = ahead * [-1, 1, 1, 1]
    return torch.from_numpy(np.concatenate([ahead, behind]).astype(np.float32))


@pytest.fixture
def sample(points):
    """All fields that NCLR sets, of a network with overlap head and alignment."""
    rng = torch.Generator().manual_seed(0)
    shape = HEIGHT // STRIDE, WIDTH // STRIDE
    sample = CalibrationDataSample(metainfo=dict(rigid_transform=np.eye(4), frame_id='0',
                                                 view_names=['cam']))
    sample.lidar2cam, sample.cam2img = torch.tensor(AXES[None]), torch.tensor(K[None])
    sample.voxel_points = points[:, :3]
    pixels = points[:, :3].numpy() @ AXES[:3, :3].T @ K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    seen = (points[:, 0].numpy() > 0) & (pixels >= -.5).all(1) & (
        pixels < (WIDTH - .5, HEIGHT - .5)).all(1)
    sample.gt_point_overlap = torch.from_numpy(seen)[None]
    sample.gt_pixel_overlap = torch.zeros(1, *shape, dtype=torch.bool)
    sample.gt_pixel_overlap[:, 2:8] = True
    sample.pred_point_overlap = torch.rand(1, len(points), generator=rng)
    sample.pred_pixel_overlap = torch.rand(1, *shape, generator=rng)
    sample.overlap_thresholds = torch.tensor([.6, .5])

    def normalised(*size):
        return torch.nn.functional.normalize(torch.randn(*size, generator=rng), dim=-1)

    cells = shape[0] * shape[1]
    sample.features = BaseDataElement(
        points=normalised(len(points), 8), pixels=normalised(1, cells, 8),
        aligned_points=normalised(len(points), 8), aligned_pixels=normalised(1, cells, 8))
    true = torch.from_numpy(pixels[seen]).float()
    sample.matchings = [BaseDataElement(
        points=points[seen, :3], true_pixels=true, cosine_hard=true + 30, cosine_soft=true,
        learned_hard=true, learned_soft=true + 1)]
    return sample


@pytest.fixture
def plain(sample):
    """Return the sample of a network without overlap head and without alignment."""
    for name in ('pred_point_overlap', 'pred_pixel_overlap', 'overlap_thresholds'):
        sample.pop(name)
    features = sample.features
    features.aligned_points = features.points.clone()
    features.aligned_pixels = features.pixels.clone()
    for name in ('learned_hard', 'learned_soft'):
        sample.matchings[0].pop(name)
    return sample
