"""Transforms that change points, images and calibration consistently."""
from __future__ import annotations

from typing import Callable, Sequence

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.registry import TRANSFORMS

from ...errors import BrokenFrameError
from ...geometry.camera import (crop_intrinsics, flip_extrinsics, flip_intrinsics, flip_points,
                                resize_intrinsics)
from ...geometry.scan_centre import scan_centre
from ...geometry.se3 import (invert_transform, make_transform, so3_exp, transform_points,
                             yaw_rotation)
from .loading import BaseTransform

CAMERA_Y = torch.tensor([0., 1., 0.], dtype=torch.float64)  # downwards


@TRANSFORMS.register_module()
class CropPoints(BaseTransform):
    """Keep the points inside a box in their current frame.

    Used before :class:`RandomRigidTransform` it limits the range of the sensor, as in the paper
    (Sec. 4.2).

    Args:
        point_cloud_range: (x_min, y_min, z_min, x_max, y_max, z_max), metres; lower limits are
            inclusive, upper ones exclusive.

    Raises:
        BrokenFrameError: If no point is left.
    """

    def __init__(self, point_cloud_range: Sequence[float]) -> None:
        limits = np.asarray(point_cloud_range, dtype=np.float32)
        if limits.shape != (6, ) or not (limits[:3] < limits[3:]).all():
            raise ValueError('CropPoints: expected point_cloud_range (x_min, y_min, z_min, x_max, '
                             f'y_max, z_max) with each min < max, found {point_cloud_range}.')
        self.low, self.high = limits[:3], limits[3:]

    def transform(self, results: dict) -> dict:
        """Crop ``points``; see the class."""
        points = results['points']
        # Columns and row indices are several times faster than (N, 3) comparisons and masks.
        inside = np.ones(len(points), dtype=bool)
        for axis in range(3):
            inside &= (points[:, axis] >= self.low[axis]) & (points[:, axis] < self.high[axis])
        if not inside.any():
            raise BrokenFrameError(
                results['frame_id'], f"scan '{results['lidar_path']}': expected points in "
                f'{self.low.tolist()} ... {self.high.tolist()} m, found none of its {len(points)}.')
        results['points'] = points.take(np.flatnonzero(inside), axis=0)
        return results


@TRANSFORMS.register_module()
class MixScans(BaseTransform):
    """Replace what no camera sees by another scan, turned by a random angle about z.

    A whole scan reveals the heading of its vehicle, to which the cameras are fixed, and a network
    memorises a few hundred scans. Either gives the pose without the image. Therefore the sectors
    beside and behind the images come from another scan of the data set, as in PolarMix (Xiao et
    al., NeurIPS 2022). Use it after :class:`CropPoints`, before images are
    cropped and before :class:`RandomRigidTransform`.

    Args:
        pre_transform: Transforms that load and crop the points of the other frame.
        prob: Probability of mixing.
        margin_deg: Angle beside each image in which points are kept, too.

    Raises:
        ValueError: If it stands at another place of the pipeline, or the scans have other columns.
    """

    def __init__(self, pre_transform: list[dict], prob: float = 0.5,
                 margin_deg: float = 5.) -> None:
        if not 0 <= prob <= 1 or margin_deg < 0:
            raise ValueError('MixScans: expected prob in [0, 1] and margin_deg >= 0, found '
                             f'{prob} and {margin_deg}.')
        self.pre_transform = Compose(pre_transform)
        self.prob = prob
        self.margin = np.radians(margin_deg)

    def transform(self, results: dict) -> dict:
        """Mix ``points`` with those of another frame of ``dataset``; see the class."""
        if 'imgs' not in results or 'rigid_transform' in results:
            raise ValueError('MixScans: expected images, and points in the frame of the sensor; '
                             'put it after LoadImages and before RandomRigidTransform.')
        rng, dataset = results['rng'], results['dataset']
        if rng.random() >= self.prob:
            return results
        other = dataset.get_data_info(int(rng.integers(dataset.num_frames)))
        rotation = yaw_rotation(torch.tensor(rng.uniform(-np.pi, np.pi))).float().numpy()
        other.update(rng=rng, dataset=dataset, epoch=results.get('epoch', 0))
        try:
            if 'broken' in other:
                raise BrokenFrameError(other['frame_id'], other['broken'])
            points = self.pre_transform(other)['points']
        except BrokenFrameError:  # reported when it is that frame's turn
            return results
        points = np.concatenate((points[:, :3] @ rotation.T, points[:, 3:]), axis=1)
        own = results['points']
        if points.shape[1] != own.shape[1]:
            raise ValueError('MixScans: expected scans of as many columns, found '
                             f'{own.shape[1]} and {points.shape[1]}; load both with the same '
                             'use_dim.')
        results['points'] = np.concatenate(
            (own[self._in_view(own, results)], points[~self._in_view(points, results)]))
        return results

    def _in_view(self, points: np.ndarray, results: dict) -> np.ndarray:
        """Return which points (N, C) any camera sees, or would if its image were high enough."""
        mask = np.zeros(len(points), bool)
        for img, cam2img, lidar2cam in zip(results['imgs'], results['cam2img'],
                                           results['lidar2cam']):
            x, _, z = transform_points(lidar2cam.astype(np.float32), points[:, :3]).T
            left, right = np.arctan((np.array([-0.5, img.shape[1] - 0.5]) - cam2img[0, 2])
                                    / cam2img[0, 0])
            angle = np.arctan2(x, z)
            mask |= (angle > left - self.margin) & (angle < right + self.margin)
        return mask


@TRANSFORMS.register_module()
class VoxelSample(BaseTransform):
    """Replace points by the means of their voxels, and keep a random subset of these.

    Use it after :class:`RandomRigidTransform` and with the voxel size of the data preprocessor,
    whose voxels are then these points. It sets ``scan_centre`` (3,), which tells where the sensor
    is and cannot be found from the sample, see
    :func:`~nclr_plugin.geometry.scan_centre.scan_centre`.

    Args:
        num_points: Largest number of remaining points.
        voxel_size: Edge of a voxel, metres.
    """

    def __init__(self, num_points: int = 20480, voxel_size: float = 0.1) -> None:
        if num_points < 1 or voxel_size <= 0:
            raise ValueError('VoxelSample: expected num_points >= 1 and voxel_size > 0, found '
                             f'{num_points} and {voxel_size}.')
        self.num_points = num_points
        self.voxel_size = voxel_size

    def transform(self, results: dict) -> dict:
        """Sample ``points``; see the class."""
        points = results['points']
        results['scan_centre'] = scan_centre(torch.from_numpy(points)).numpy()
        index = np.round(points[:, :3] / np.float32(self.voxel_size)).astype(np.int64)
        index -= index.min(0)
        extent = index.max(0) + 1
        key = (index[:, 0] * extent[1] + index[:, 1]) * extent[2] + index[:, 2]
        _, voxel, counts = np.unique(key, return_inverse=True, return_counts=True)
        voxel = voxel.reshape(-1)
        means = np.stack([np.bincount(voxel, column) for column in points.T], 1)
        means = (means / counts[:, None]).astype(np.float32)
        if len(means) > self.num_points:
            sampled = results['rng'].choice(len(means), self.num_points, replace=False)
            means = means.take(np.sort(sampled), axis=0)
        results['points'] = means
        return results


@TRANSFORMS.register_module()
class RandomRigidTransform(BaseTransform):
    """Apply a random rigid transform to the points, paper Eq. 8: ``p' = R_r (p + t_r)``.

    The translation comes first, then a rotation about the LiDAR's z axis. The extrinsics follow:
    ``lidar2cam' p' = lidar2cam p``. Sets ``rigid_transform`` (4, 4) with ``p' = rigid_transform @
    p``.

    Args:
        yaw: The angle is uniform in [-yaw, yaw], radians.
        translation: The translation is uniform in [-x, x], [-y, y], [-z, z], metres.
        axes: ``'lidar'``, or ``'camera'``: translate along the axes of the first camera and rotate
            about its y axis, as in image-to-point-cloud registration. The points stay in LiDAR
            coordinates, so that they do not reveal the extrinsics.
    """

    def __init__(self,
                 yaw: float = np.pi,
                 translation: tuple[float, float, float] = (15.0, 15.0, 0.0),
                 axes: str = 'lidar') -> None:
        if axes not in ('lidar', 'camera'):
            raise ValueError('RandomRigidTransform: expected axes "lidar" or "camera", '
                             f'found "{axes}".')
        self.translation = np.asarray(translation, dtype=np.float64)
        if yaw < 0 or self.translation.shape != (3, ) or (self.translation < 0).any():
            raise ValueError('RandomRigidTransform: expected yaw >= 0 and three translations >= 0, '
                             f'found yaw={yaw}, translation={translation}.')
        self.yaw = yaw
        self.axes = axes

    def transform(self, results: dict) -> dict:
        """Transform ``points`` and ``lidar2cam``; see the class."""
        rng = results['rng']
        angle = torch.tensor(rng.uniform(-self.yaw, self.yaw), dtype=torch.float64)
        rotation = yaw_rotation(angle) if self.axes == 'lidar' else so3_exp(angle * CAMERA_Y)
        translation = torch.from_numpy(rng.uniform(-self.translation, self.translation))
        rigid_transform = make_transform(rotation, rotation @ translation)
        if self.axes == 'camera':
            lidar2cam = torch.from_numpy(results['lidar2cam'][0])
            rigid_transform = invert_transform(lidar2cam) @ rigid_transform @ lidar2cam
        points = torch.from_numpy(results['points'])
        # float32 takes half the time and is exact to 1e-5 m.
        moved = transform_points(rigid_transform.float(), points[:, :3])
        results['points'] = torch.cat([moved, points[:, 3:]], dim=1).numpy()
        if 'scan_centre' in results:
            centre = torch.from_numpy(results['scan_centre'])
            results['scan_centre'] = transform_points(
                rigid_transform.to(centre), centre[None])[0].numpy()
        results['lidar2cam'] = results['lidar2cam'] @ invert_transform(rigid_transform).numpy()
        earlier = results.get('rigid_transform', np.eye(4))
        results['rigid_transform'] = rigid_transform.numpy() @ earlier
        return results


@TRANSFORMS.register_module()
class RandomSceneFlip(BaseTransform):
    """Mirror images, points, K and extrinsics left to right.

    The result is consistent: points project to the mirrored pixels, and rotations stay rotations.
    An earlier ``rigid_transform`` is mirrored, too.

    Args:
        prob: Probability of flipping.
    """

    def __init__(self, prob: float = 0.5) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'RandomSceneFlip: expected prob in [0, 1], found {prob}.')
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Mirror ``imgs``, ``points``, ``cam2img``, ``lidar2cam`` and others; see the class."""
        if results['rng'].random() >= self.prob:
            return results
        results['cam2img'] = np.stack([
            flip_intrinsics(matrix, img.shape[1])
            for matrix, img in zip(results['cam2img'], results['imgs'])
        ])
        results['imgs'] = [np.ascontiguousarray(img[:, ::-1]) for img in results['imgs']]
        results['points'] = flip_points(results['points'])
        if 'scan_centre' in results:
            results['scan_centre'] = flip_points(results['scan_centre'][None])[0]
        results['lidar2cam'] = flip_extrinsics(results['lidar2cam'])
        if 'rigid_transform' in results:
            mirror = np.diag([1.0, -1.0, 1.0, 1.0])
            results['rigid_transform'] = mirror @ results['rigid_transform'] @ mirror
        return results


@TRANSFORMS.register_module()
class ResizeImages(BaseTransform):
    """Resize every image to one size, without keeping the aspect ratio; adapt K.

    Pixel centres are integers: ``u' = (u + 0.5) s - 0.5``.

    Args:
        size: (width, height), pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = check_size('ResizeImages', size)

    def transform(self, results: dict) -> dict:
        """Resize ``imgs``, adapt ``cam2img``; see the class."""
        return resize_images(results, lambda img: (self.width, self.height))


@TRANSFORMS.register_module()
class RescaleImages(BaseTransform):
    """Resize every image by one factor; adapt K.

    Args:
        factor: New width over old width.
    """

    def __init__(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError(f'RescaleImages: expected factor > 0, found {factor}.')
        self.factor = factor

    def transform(self, results: dict) -> dict:
        """Resize ``imgs``, adapt ``cam2img``; see the class."""
        return resize_images(results, lambda img: (round(img.shape[1] * self.factor),
                                                   round(img.shape[0] * self.factor)))


@TRANSFORMS.register_module()
class CropImages(BaseTransform):
    """Crop a window from every image; adapt K.

    Args:
        size: (width, height) of the window, pixels.
        random: Random window for each view; otherwise the window in the centre.

    Raises:
        BrokenFrameError: If an image is smaller than the window.
    """

    def __init__(self, size: tuple[int, int], random: bool = False) -> None:
        self.width, self.height = check_size('CropImages', size)
        self.random = random

    def transform(self, results: dict) -> dict:
        """Crop ``imgs``, adapt ``cam2img``; see the class."""
        imgs, cam2img = [], []
        for img, matrix in zip(results['imgs'], results['cam2img']):
            spare = np.array([img.shape[1] - self.width, img.shape[0] - self.height])
            if (spare < 0).any():
                raise BrokenFrameError(
                    results['frame_id'], f'CropImages: a window of {self.width} x {self.height} '
                    f'does not fit into an image of {img.shape[1]} x {img.shape[0]}; set another '
                    'size, or resize the images by ResizeImages.')
            left, top = results['rng'].integers(spare + 1) if self.random else spare // 2
            imgs.append(img[top:top + self.height, left:left + self.width])
            cam2img.append(crop_intrinsics(matrix, int(left), int(top)))
        results['imgs'], results['cam2img'] = imgs, np.stack(cam2img)
        return results


@TRANSFORMS.register_module()
class CropTop(BaseTransform):
    """Crop the top rows of every image, where a LiDAR has no points; adapt K.

    Args:
        top: Number of rows.
    """

    def __init__(self, top: int) -> None:
        if top < 0:
            raise ValueError(f'CropTop: expected top >= 0, found {top}.')
        self.top = top

    def transform(self, results: dict) -> dict:
        """Crop ``imgs``, adapt ``cam2img``; see the class."""
        lowest = min(img.shape[0] for img in results['imgs'])
        if lowest <= self.top:
            raise BrokenFrameError(
                results['frame_id'], f'an image has {lowest} rows: expected more than the '
                f'{self.top} that CropTop removes.')
        results['imgs'] = [img[self.top:] for img in results['imgs']]
        results['cam2img'] = crop_intrinsics(results['cam2img'], 0, self.top)
        return results


def resize_images(results: dict, size_of: Callable[[np.ndarray], tuple[int, int]]) -> dict:
    """Resize ``imgs`` to the (width, height) that ``size_of`` returns, and adapt ``cam2img``."""
    imgs, cam2img = [], []
    for img, matrix in zip(results['imgs'], results['cam2img']):
        width, height = size_of(img)
        scale_u, scale_v = width / img.shape[1], height / img.shape[0]
        # Average for shrinking: bilinear interpolation would skip pixels, and alias.
        method = cv2.INTER_AREA if max(scale_u, scale_v) < 1 else cv2.INTER_LINEAR
        imgs.append(cv2.resize(img, (width, height), interpolation=method))
        cam2img.append(resize_intrinsics(matrix, scale_u, scale_v))
    results['imgs'], results['cam2img'] = imgs, np.stack(cam2img)
    return results


def check_size(name: str, size: Sequence[int]) -> tuple[int, int]:
    """Check a (width, height) of the transform ``name``, and return it."""
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f'{name}: expected size (width, height) in whole pixels, found {size}.')
    return size[0], size[1]
