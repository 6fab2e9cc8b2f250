"""A scan in an image, for one pose or several (paper, Fig. 11), and from above."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from torch import Tensor

from ..geometry.camera import in_view, project_points
from ..geometry.se3 import identity_pose, rotation_error_geodesic_deg, translation_error
from .canvas import (BACKGROUND, WHITE, Array, as_array, beside, colour_bar, colour_scale, dim,
                     enlarge, scale_pixels, stack, titled, write)

MIN_DEPTH, MAX_DEPTH = 2., 60.  # metres at the ends of the colour scale
DEPTH_TICKS = MIN_DEPTH, 5., 10., 20., 40., MAX_DEPTH
LINE = (90, 90, 90)  # colour of the rings of the bird's-eye view
PANEL_HEIGHT = 400  # maximum height of the three panels beside it


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


def project_visible(points: Array, lidar2cam: Array, cam2img: Array, height: int,
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
    points, lidar2cam, cam2img = (as_array(value).astype(np.float64)
                                  for value in (points, lidar2cam, cam2img))
    pixels, depth = project_points(points[:, :3], lidar2cam, cam2img)
    index = np.flatnonzero(in_view(pixels, depth, height, width))
    return index, pixels[index], depth[index]


def compare_poses(image: np.ndarray, points: Array, cam2img: Array,
                  poses: dict[str, Array | None]) -> np.ndarray:
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
        image, points, view: See :mod:`nclr_plugin.visualization`.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample`, with or without
            predictions.

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


def draw_birds_eye(points: Array, colours: np.ndarray, lidar2cam: Array | None,
                   cam2img: Array | None, width: int, size: int) -> np.ndarray:
    """Draw points from above, with the camera in the centre and its viewing direction upwards.

    Without a camera, the LiDAR is in the centre and its x axis points upwards. The panel shows
    the distance that contains 98% of the points, with rings every 10 or 20 metres and the
    borders of the field of view.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres, z upwards; later points cover earlier
            ones.
        colours: (N, 3) uint8 RGB.
        lidar2cam: (4, 4) extrinsics, or ``None`` for no camera.
        cam2img: (3, 3) intrinsics; ignored without a camera.
        width: Image width, pixels; ignored without a camera.
        size: Width and height of the panel, pixels.

    Returns:
        (size, size, 3) uint8 RGB panel.
    """
    if lidar2cam is None:
        ahead, rays, position = np.array([1., 0.]), np.zeros((0, 2)), np.zeros(2)
    else:
        ahead, rays, position = _camera_from_above(lidar2cam, cam2img, width)
    offset = as_array(points)[:, :2].astype(np.float64) - position
    reach = _reach(offset)
    scale = size / 2 / reach

    def to_panel(metres: np.ndarray) -> np.ndarray:
        return _to_panel(metres, ahead, scale, size)

    panel = np.full((size, size, 3), BACKGROUND, np.uint8)
    centre = (size // 2, size // 2)
    step = 10 if reach <= 40 else 20
    rings = range(step, int(reach) + 1, step)
    for metres in rings:
        cv2.circle(panel, centre, int(round(metres * scale)), LINE, 1, cv2.LINE_AA)
    panel = draw_discs(panel, to_panel(offset), colours)
    for ray in rays:
        end = to_panel(2 * reach * ray)
        cv2.line(panel, centre, tuple(int(x) for x in np.rint(end)), WHITE, 1, cv2.LINE_AA)
    for metres in rings:
        # Labels stand diagonally behind, where there are fewer points than along the road.
        oblique = int(metres * scale * np.sqrt(0.5)) + 4
        panel = write(panel, f'{metres} m', (centre[0] + oblique, centre[1] + oblique), 0.5)
    return panel


def panel_coordinates(points: Array, positions: np.ndarray, size: int) -> np.ndarray:
    """Return the pixels of positions in a panel of :func:`draw_birds_eye` without a camera.

    Args:
        points: (N, 3+) the drawn points.
        positions: (..., 2) x and y in the LiDAR frame, metres.
        size: Width and height of the panel, pixels.

    Returns:
        (..., 2) pixels, (u, v).
    """
    reach = _reach(as_array(points)[:, :2].astype(np.float64))
    return _to_panel(positions, np.array([1., 0.]), size / 2 / reach, size)


def _to_panel(metres: np.ndarray, ahead: np.ndarray, scale: float, size: int) -> np.ndarray:
    across = np.array([ahead[1], -ahead[0]])
    return (size - 1) / 2 + scale * np.stack([metres @ across, -metres @ ahead], axis=-1)


def _camera_from_above(lidar2cam: Array, cam2img: Array,
                       width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return optical axis (2,), image edges (2, 2) and camera position (2,), seen from above."""
    lidar2cam, cam2img = (as_array(value).astype(np.float64) for value in (lidar2cam, cam2img))
    rotation = lidar2cam[:3, :3]
    position = -rotation.T @ lidar2cam[:3, 3]
    edges = np.array([[-0.5, cam2img[1, 2], 1], [width - 0.5, cam2img[1, 2], 1]])
    rays = (np.linalg.inv(cam2img) @ edges.T).T @ rotation
    heading = np.arctan2(rotation[2, 1], rotation[2, 0])
    rays = rays[:, :2] / np.linalg.norm(rays[:, :2], axis=1, keepdims=True).clip(1e-6)
    return np.array([np.cos(heading), np.sin(heading)]), rays, position[:2]


def _reach(offset: np.ndarray) -> float:
    """Return the distance from the centre to the border in metres, a multiple of ten."""
    distance = np.linalg.norm(offset, axis=1)
    return 10 * max(1., np.ceil(np.quantile(distance, 0.98) / 10)) if len(offset) else 10.
