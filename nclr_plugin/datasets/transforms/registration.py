"""What the protocols of image-to-point-cloud registration do to scans and images."""
from __future__ import annotations

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from nclr_plugin.geometry.camera import crop_intrinsics

from ...errors import BrokenFrameError
from .base import BaseTransform
from .geometric import resize_images


@TRANSFORMS.register_module()
class SamplePoints(BaseTransform):
    """Keep one point a voxel (the mean of its points), then a random subset of the voxels.

    After :class:`RandomPlacement`, with the voxel size of the data preprocessor, whose voxels are
    then these points. A scan with fewer voxels keeps them all.

    Args:
        num_points: Points that are left.
        voxel_size: Edge of the voxels, metres.
    """

    def __init__(self, num_points: int = 20480, voxel_size: float = 0.1) -> None:
        if num_points < 1 or voxel_size <= 0:
            raise ValueError('SamplePoints: expected num_points >= 1 and voxel_size > 0, found '
                             f'{num_points} and {voxel_size}.')
        self.num_points = num_points
        self.voxel_size = voxel_size

    def transform(self, results: dict) -> dict:
        """Thin ``points``; see the class."""
        points = results['points']
        index = np.round(points[:, :3] / np.float32(self.voxel_size)).astype(np.int64)
        index -= index.min(0)
        extent = index.max(0) + 1
        key = (index[:, 0] * extent[1] + index[:, 1]) * extent[2] + index[:, 2]
        _, place, counts = np.unique(key, return_inverse=True, return_counts=True)
        place = place.reshape(-1)
        means = np.stack([np.bincount(place, column) for column in points.T], 1)
        means = (means / counts[:, None]).astype(np.float32)
        if len(means) > self.num_points:
            chosen = results['rng'].choice(len(means), self.num_points, replace=False)
            means = means.take(np.sort(chosen), axis=0)
        results['points'] = means
        return results


@TRANSFORMS.register_module()
class TrimImages(BaseTransform):
    """Cut rows off above, where a LiDAR has no points; K follows.

    Args:
        top: Rows.
    """

    def __init__(self, top: int) -> None:
        if top < 0:
            raise ValueError(f'TrimImages: expected top >= 0, found {top}.')
        self.top = top

    def transform(self, results: dict) -> dict:
        """Crop ``imgs``, adapt ``cam2img``; see the class."""
        lowest = min(img.shape[0] for img in results['imgs'])
        if lowest <= self.top:
            raise BrokenFrameError(
                results['frame_id'], f'an image has {lowest} rows: expected more than the '
                f'{self.top} that are cut off.')
        results['imgs'] = [img[self.top:] for img in results['imgs']]
        results['cam2img'] = np.stack([
            crop_intrinsics(torch.from_numpy(matrix), 0, self.top).numpy()
            for matrix in results['cam2img']])
        return results


@TRANSFORMS.register_module()
class ScaleImages(BaseTransform):
    """Resize every image by one factor; K follows.

    Args:
        factor: New width over old width.
    """

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f'ScaleImages: expected factor > 0, found {factor}.')
        self.factor = factor

    def transform(self, results: dict) -> dict:
        """Resize ``imgs``, adapt ``cam2img``; see the class."""
        return resize_images(results, lambda img: (round(img.shape[1] * self.factor),
                                                   round(img.shape[0] * self.factor)))
