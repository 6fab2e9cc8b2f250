"""Pack frames for the model."""
from __future__ import annotations

import numpy as np
import torch
from mmengine.registry import TRANSFORMS

from ...errors import BrokenFrameError
from ...geometry.camera import in_view, project_points
from ...structures import CalibrationDataSample
from .loading import BaseTransform


@TRANSFORMS.register_module()
class PackCalibrationInputs(BaseTransform):
    """Pack a frame for the model.

    Returns ``dict(inputs=dict(points (N, C) float32, imgs (V, 3, H, W) uint8 RGB), data_samples)``
    with a :class:`CalibrationDataSample`. Samples of the mismatched-image control have
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
        return dict(inputs=dict(points=points, imgs=imgs), data_samples=data_sample)

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
