"""A scan drawn into an image, for one pose or several (paper, Fig. 11)."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from ..geometry.camera import in_view, project_points
from ..geometry.se3 import identity_pose, rotation_error_geodesic_deg, translation_error
from .canvas import (beside, colour_bar, colour_scale, dim, enlarge, scale_pixels, stack, titled)

MIN_DEPTH, MAX_DEPTH = 2., 60.  # metres at the ends of the colour scale
DEPTH_TICKS = MIN_DEPTH, 5., 10., 20., 40., MAX_DEPTH


def draw_discs(image: np.ndarray, pixels: np.ndarray, colours: np.ndarray,
               radius: float = 1.5) -> np.ndarray:
    """Draw discs; later ones cover earlier ones.

    Args:
        image: (H, W, 3) uint8 RGB.
        pixels: (N, 2) centres (u, v), integers at pixel centres; may lie outside.
        colours: (N, 3) uint8 RGB.
        radius: Radius of the discs, pixels.

    Returns:
        A new image, (H, W, 3) uint8.
    """
    reach = np.arange(-int(radius), int(radius) + 1)
    disc = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    disc = disc[(disc**2).sum(axis=1) <= radius**2]
    # In the order of the points: where several hit a pixel, the last one stays.
    hit = (np.rint(pixels).astype(np.int64)[:, None] + disc).reshape(-1, 2)
    colours = np.repeat(colours, len(disc), axis=0)
    height, width = image.shape[:2]
    inside = (hit >= 0).all(axis=1) & (hit < (width, height)).all(axis=1)
    drawn = image.copy()
    drawn[hit[inside, 1], hit[inside, 0]] = colours[inside]
    return drawn


def draw_depth(image: np.ndarray, pixels: np.ndarray, depth: np.ndarray,
               radius: float = 1.5) -> np.ndarray:
    """Draw discs coloured by depth; near ones cover far ones.

    Points behind surfaces are drawn too, since a scan is sparse and they show how well edges
    line up.

    Args:
        image: (H, W, 3) uint8 RGB.
        pixels: (N, 2) centres (u, v), integers at pixel centres; may lie outside.
        depth: (N,) depths, metres.
        radius: Radius of the discs, pixels.

    Returns:
        A new image, (H, W, 3) uint8.
    """
    order = np.argsort(-depth, kind='stable')
    return draw_discs(image, pixels[order], depth_colours(depth[order]), radius)


def depth_colours(depth: np.ndarray) -> np.ndarray:
    """Map depths to colours from red (near) to blue (far), on a logarithmic scale.

    Args:
        depth: (N,) depths, metres; clipped to ``MIN_DEPTH`` and ``MAX_DEPTH``.

    Returns:
        (N, 3) uint8 RGB.
    """
    return colour_scale(1 - depth_level(depth))


def depth_level(depth: np.ndarray) -> np.ndarray:
    """Map depths in metres to the scale of colours, from 0 (near) to 1 (far)."""
    return np.log(np.clip(depth, MIN_DEPTH, MAX_DEPTH) / MIN_DEPTH) / np.log(MAX_DEPTH / MIN_DEPTH)


def level_depth(level: np.ndarray) -> np.ndarray:
    """Invert :func:`depth_level`: return the depth in metres at a position on the scale."""
    return MIN_DEPTH * (MAX_DEPTH / MIN_DEPTH)**level


def project_visible(points: Tensor, lidar2cam: Tensor, cam2img: Tensor, height: int,
                    width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project the points in view into the image.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        lidar2cam: (4, 4) extrinsics.
        cam2img: (3, 3) intrinsics.
        height: Image height, pixels.
        width: Image width, pixels.

    Returns:
        Indices of the M points in view (M,), their pixels (M, 2) and their depths (M,) in metres.
    """
    points, lidar2cam, cam2img = (t.detach().cpu().double() for t in (points, lidar2cam, cam2img))
    pixels, depth = project_points(points[:, :3], lidar2cam, cam2img)
    index = in_view(pixels, depth, height, width).nonzero()[:, 0]
    return index.numpy(), pixels[index].numpy(), depth[index].numpy()


def compare_poses(image: np.ndarray, points: Tensor, cam2img: Tensor,
                  poses: dict[str, Tensor | None]) -> np.ndarray:
    """Draw the scan into an image with several poses, one panel for each.

    Args:
        image: (H, W, 3) uint8 RGB; a small image is enlarged.
        points: (N, 3+) points in the LiDAR frame, metres.
        cam2img: (3, 3) intrinsics of ``image``.
        poses: (4, 4) lidar2cam by title of the panel; ``None`` draws no points.

    Returns:
        uint8 RGB picture with titles and a colour bar in metres.
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
    """Compare one view before calibration, as predicted, and by the ground truth.

    Args:
        image: (H, W, 3) uint8 RGB, as given to the model.
        points: (N, 3+) points in the LiDAR frame after the random transform, metres.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample`, with or without
            predictions.
        view: Index of the view.

    Returns:
        uint8 RGB picture, see :func:`compare_poses`.
    """
    target = sample.lidar2cam[view].cpu().double()
    before = identity_pose(target, sample.rigid_transform)

    def described(title: str, pose: Tensor) -> str:
        angle = float(rotation_error_geodesic_deg(pose[:3, :3], target[:3, :3]))
        return f'{title}: RRE {angle:.2f} deg, RTE {float(translation_error(pose, target)):.2f} m'

    poses: dict[str, Tensor | None] = {described('before (identity baseline)', before): before}
    if 'pred_lidar2cam' in sample:
        predicted = sample.pred_lidar2cam[view].cpu().double()
        if sample.pred_valid[view] and predicted.isfinite().all():
            poses[described('predicted', predicted)] = predicted
        else:
            poses['predicted: no pose was found'] = None
    poses['ground truth'] = target
    return compare_poses(image, points, sample.cam2img[view], poses)


def depth_bar(height: int) -> np.ndarray:
    """Draw the colour bar of depths, near at the top."""
    return colour_bar(height, lambda level: depth_colours(level_depth(level)),
                      [(float(depth_level(metres)), f'{metres:g} m') for metres in DEPTH_TICKS])
