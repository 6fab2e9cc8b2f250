"""Load scans, sweeps and images, and pack them for the model."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod

import cv2
import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from ...errors import BrokenFrameError
from ...geometry.camera import in_view, project_points
from ...geometry.se3 import transform_points
from ...structures import CalibrationDataSample
from ..images import read_image
from ..scans import read_scan


class BaseTransform(metaclass=ABCMeta):
    """Base class of the transforms of this package.

    Keys of ``results`` after loading, besides ``frame_id`` and the paths of the data set:

    ===================  =======================================================================
    ``points``           (N, C) float32: x, y, z in metres in the LiDAR frame, intensity in 0..1
    ``imgs``             list of V arrays (H, W, 3), uint8, RGB
    ``cam2img``          (V, 3, 3) float64, of the current images
    ``lidar2cam``        (V, 4, 4) float64, from the current points
    ``rigid_transform``  (4, 4) float64, ``p' = rigid_transform @ p``, if
                         :class:`RandomRigidTransform` ran
    ``rng``              ``numpy.random.Generator``, the only source of randomness
    ``epoch``            passes over the data before this one
    ===================  =======================================================================
    """

    def __call__(self, results: dict) -> dict:
        """Apply the transform."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: dict) -> dict:
        """Transform the results.

        Args:
            results: See the class.

        Returns:
            Transformed results.
        """


@TRANSFORMS.register_module()
class LoadPoints(BaseTransform):
    """Load the points of a scan.

    Reads the formats of :func:`~nclr_plugin.datasets.scan_files.read_columns`. Sets ``points``
    (N, use_dim) float32: the valid rows
    (:func:`~nclr_plugin.datasets.scans.drop_invalid_rows`), with the intensity scaled to 0..1 by
    the data set's ``intensity_scale`` (nuScenes stores 0..255).

    Args:
        use_dim: Number of leading columns to keep; 4: x, y, z, intensity.

    Raises:
        BrokenFrameError: If the file is absent, cut off or empty, does not fit ``lidar_dim`` or
            ``intensity_scale``, or has fewer than 30 valid points.
    """

    def __init__(self, use_dim: int = 4) -> None:
        self.use_dim = use_dim

    def transform(self, results: dict) -> dict:
        """Load ``lidar_path``; see the class."""
        results['points'] = read_scan(results, self.use_dim)
        return results


@TRANSFORMS.register_module()
class LoadImages(BaseTransform):
    """Load the images of a frame, RGB, and stack the calibration of its views.

    Sets ``imgs`` (V arrays (H, W, 3) uint8), ``cam2img`` (V, 3, 3) and ``lidar2cam`` (V, 4, 4).

    For the mismatched-image control of :class:`CalibrationDataset`, an entry of ``images`` has
    another entry under ``replaced_by``. The image is loaded from there and resized to the size that
    the calibration is for.

    Raises:
        BrokenFrameError: See :func:`~nclr_plugin.datasets.images.read_image`.
    """

    def transform(self, results: dict) -> dict:
        """Load ``images``; see the class."""
        images = results['images']
        results['imgs'] = [self._load_view(results['frame_id'], image) for image in images]
        results['cam2img'] = np.stack([image['cam2img'] for image in images])
        results['lidar2cam'] = np.stack([image['lidar2cam'] for image in images])
        return results

    def _load_view(self, frame_id: str, image: dict) -> np.ndarray:
        pixels = read_image(frame_id, image)
        if 'replaced_by' not in image:
            return pixels
        # The original image gives the size that the calibration is for.
        other = read_image(frame_id, image['replaced_by'])
        if other.shape == pixels.shape:
            return other
        return cv2.resize(other, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)


@TRANSFORMS.register_module()
class AccumulateSweeps(BaseTransform):
    """Append the points of a frame's sweeps to its scan, corrected for ego motion.

    Use it after :class:`LoadPoints`, whose columns it keeps. The reader lists the sweeps with their
    poses (``sweep2lidar``), see ``num_sweeps`` of
    :class:`~nclr_plugin.datasets.NuScenesReader`. Moving objects are smeared.

    Args:
        min_distance: Drop points of sweeps whose |x| and |y| are both below this, metres: they are
            on the vehicle and would leave a trail.

    Raises:
        BrokenFrameError: If a sweep cannot be used, see :class:`LoadPoints`.
        ValueError: If the frame has no list of sweeps, because its reader does not read them.
    """

    def __init__(self, min_distance: float = 1.) -> None:
        if min_distance < 0:
            raise ValueError(
                f'AccumulateSweeps: expected min_distance >= 0, found {min_distance}.')
        self.min_distance = min_distance

    def transform(self, results: dict) -> dict:
        """Extend ``points``; see the class."""
        if 'sweeps' not in results:
            raise ValueError(f"AccumulateSweeps: frame {results['frame_id']}: expected a list of "
                             'sweeps, found none; use NuScenesReader.')
        clouds = [results['points']]
        for sweep in results['sweeps']:
            points = read_scan({**results, 'lidar_path': sweep['lidar_path']},
                               clouds[0].shape[1])
            on_vehicle = (np.abs(points[:, :2]) < self.min_distance).all(axis=1)
            points = points.take(np.flatnonzero(~on_vehicle), axis=0)
            points[:, :3] = transform_points(
                sweep['sweep2lidar'], points[:, :3].astype(np.float64))
            clouds.append(points)
        results['points'] = np.concatenate(clouds)
        return results


@TRANSFORMS.register_module()
class PackCalibrationInputs(BaseTransform):
    """Pack a frame for the model.

    Returns ``dict(inputs=dict(points (N, C) float32, imgs (V, 3, H, W) uint8 RGB), data_samples)``
    with a :class:`CalibrationDataSample`. Inputs have a ``scan_centre``, too, if the frame has one
    (see :class:`~nclr_plugin.datasets.VoxelSample`). Samples of the mismatched-image control have
    ``mismatched_image`` set, and ``img_paths`` of the images that are shown.

    Args:
        min_visible_points: Smallest number of points in view of any camera.

    Raises:
        BrokenFrameError: If fewer points are in view.
        ValueError: If the images of the frame differ in size.
    """

    def __init__(self, min_visible_points: int = 1) -> None:
        self.min_visible_points = min_visible_points

    def transform(self, results: dict) -> dict:
        """Check and pack; see the class."""
        sizes = [img.shape[:2] for img in results['imgs']]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"PackCalibrationInputs: frame {results['frame_id']} has images of different sizes "
                f'(height, width) {sizes}; add ResizeImages to the pipeline.')
        points = torch.from_numpy(results['points'])
        lidar2cam = torch.from_numpy(results['lidar2cam'])
        cam2img = torch.from_numpy(results['cam2img'])
        self._check_visible(results, points, lidar2cam, cam2img, *sizes[0])
        imgs = torch.from_numpy(np.stack(results['imgs'])).permute(0, 3, 1, 2).contiguous()
        data_sample = CalibrationDataSample(
            metainfo=dict(
                frame_id=results['frame_id'],
                lidar_path=results['lidar_path'],
                img_paths=[image.get('replaced_by', image)['img_path']
                           for image in results['images']],
                view_names=[image['name'] for image in results['images']],
                rigid_transform=results.get('rigid_transform', np.eye(4)),
                mismatched_image=results.get('mismatched_image', False),
                skipped_frames=results.get('skipped_frames', [])))
        data_sample.lidar2cam, data_sample.cam2img = lidar2cam, cam2img
        inputs = dict(points=points, imgs=imgs)
        if 'scan_centre' in results:
            inputs['scan_centre'] = torch.from_numpy(results['scan_centre'])
        return dict(inputs=inputs, data_samples=data_sample)

    def _check_visible(self, results: dict, points: torch.Tensor, lidar2cam: torch.Tensor,
                       cam2img: torch.Tensor, height: int, width: int) -> None:
        """Raise if too few points are in view."""
        for step in (16, 1):  # a part of the scan is almost always enough
            xyz = points[::step, :3].expand(len(lidar2cam), -1, -1)
            pixels, depth = project_points(xyz, lidar2cam.to(xyz), cam2img.to(xyz))
            visible = int(in_view(pixels, depth, height, width).any(dim=0).sum())
            if visible >= self.min_visible_points:
                return
        raise BrokenFrameError(
            results['frame_id'],
            f"scan '{results['lidar_path']}': expected at least {self.min_visible_points} points "
            f'in view of a camera, found {visible} of {len(points)}; check lidar2cam and the point '
            'cloud range.')
