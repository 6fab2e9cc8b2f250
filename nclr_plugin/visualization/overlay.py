"""A scan drawn into the image by one pose or several (paper, Fig. 11)."""
from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np
import torch
from torch import Tensor

from ..geometry.se3 import rotation_error_geodesic_deg, translation_error
from .canvas import beside, colour_bar, dim, enlarge, scale_pixels, stack, titled
from .points import (DEPTH_TICKS, depth_colours, depth_level, draw_depth, level_depth,
                     project_visible)


def compare_poses(image: np.ndarray, points: Tensor, cam2img: Tensor,
                  poses: Dict[str, Optional[Tensor]]) -> np.ndarray:
    """Panels of one image, one below the other, with the scan drawn by a different pose in each.

    Args:
        image: RGB, (H, W, 3) uint8; enlarged if it is small.
        points: (N, 3+), LiDAR frame, metres.
        cam2img: (3, 3), of ``image``.
        poses: LiDAR to camera, (4, 4), by the title of the panel; None draws no points.

    Returns:
        RGB picture, uint8, with titles and a colour bar in metres.
    """
    background, factor = enlarge(image)
    background = dim(background)
    panels = []
    for title, pose in poses.items():
        panel = background
        if pose is not None:
            _, pixels, depth = project_visible(points, pose, cam2img, *image.shape[:2])
            panel = draw_depth(panel, scale_pixels(pixels, factor), depth)
        panels.append(titled(panel, title))
    picture = stack(panels)
    return beside([picture, depth_bar(len(picture))])


def compare_sample(image: np.ndarray, points: Tensor, sample: Any, view: int) -> np.ndarray:
    """One view before calibration, as predicted, and by the ground truth.

    Args:
        image: RGB, (H, W, 3) uint8, as the model sees it.
        points: (N, 3+), LiDAR frame after placement, metres.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample`, with predictions or
            without.
        view: Which view.

    Returns:
        RGB picture, uint8, see :func:`compare_poses`.
    """
    target = sample.lidar2cam[view].cpu().double()
    before = target @ torch.as_tensor(np.asarray(sample.placement), dtype=torch.float64)

    def described(title: str, pose: Tensor) -> str:
        angle = float(rotation_error_geodesic_deg(pose[:3, :3], target[:3, :3]))
        return f'{title}: RRE {angle:.2f} deg, RTE {float(translation_error(pose, target)):.2f} m'

    poses: Dict[str, Optional[Tensor]] = {described('before (identity placement)', before): before}
    if 'pred_lidar2cam' in sample:
        predicted = sample.pred_lidar2cam[view].cpu().double()
        if sample.pred_valid[view] and predicted.isfinite().all():
            poses[described('predicted', predicted)] = predicted
        else:
            poses['predicted: no pose was found'] = None
    poses['ground truth'] = target
    return compare_poses(image, points, sample.cam2img[view], poses)


def depth_bar(height: int) -> np.ndarray:
    """Colour bar of depths, near at the top."""
    return colour_bar(height, lambda level: depth_colours(level_depth(level)),
                      [(float(depth_level(metres)), f'{metres:g} m') for metres in DEPTH_TICKS])
