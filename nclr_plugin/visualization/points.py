"""Points drawn into an image."""
from __future__ import annotations

from typing import Tuple

import numpy as np
from torch import Tensor

from ..geometry.camera import in_view, project_points
from .canvas import colour_scale

MIN_DEPTH, MAX_DEPTH = 2., 60.  # metres at the ends of the colour scale
DEPTH_TICKS = MIN_DEPTH, 5., 10., 20., 40., MAX_DEPTH


def draw_discs(image: np.ndarray, pixels: np.ndarray, colours: np.ndarray,
               radius: float = 1.5) -> np.ndarray:
    """Draw discs, later ones over earlier ones.

    Args:
        image: RGB, (H, W, 3) uint8.
        pixels: (N, 2), (u, v), integers at pixel centres; may lie outside.
        colours: (N, 3) uint8 RGB.
        radius: Of the discs, pixels.

    Returns:
        A new image, (H, W, 3) uint8.
    """
    reach = np.arange(-int(radius), int(radius) + 1)
    disc = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    disc = disc[(disc**2).sum(axis=1) <= radius**2]
    # Point by point in one list: of several that hit a pixel, the last stays.
    hit = (np.rint(pixels).astype(np.int64)[:, None] + disc).reshape(-1, 2)
    colours = np.repeat(colours, len(disc), axis=0)
    height, width = image.shape[:2]
    inside = (hit >= 0).all(axis=1) & (hit < (width, height)).all(axis=1)
    drawn = image.copy()
    drawn[hit[inside, 1], hit[inside, 0]] = colours[inside]
    return drawn


def draw_depth(image: np.ndarray, pixels: np.ndarray, depth: np.ndarray,
               radius: float = 1.5) -> np.ndarray:
    """Draw discs coloured by depth, near ones over far ones.

    Occlusion by the scene is not considered: a scan is sparse, and points behind a surface show
    how well edges line up, too.

    Args:
        image: RGB, (H, W, 3) uint8.
        pixels: (N, 2), (u, v), integers at pixel centres; may lie outside.
        depth: (N,) metres.
        radius: Of the discs, pixels.

    Returns:
        A new image, (H, W, 3) uint8.
    """
    order = np.argsort(-depth, kind='stable')
    return draw_discs(image, pixels[order], depth_colours(depth[order]), radius)


def depth_colours(depth: np.ndarray) -> np.ndarray:
    """Colours from red (near) to blue (far), logarithmic from ``MIN_DEPTH`` to ``MAX_DEPTH``.

    Args:
        depth: (N,) metres.

    Returns:
        (N, 3) uint8 RGB.
    """
    return colour_scale(1 - depth_level(depth))


def depth_level(depth: np.ndarray) -> np.ndarray:
    """Place on the scale of depths, 0 (near) to 1 (far)."""
    return np.log(np.clip(depth, MIN_DEPTH, MAX_DEPTH) / MIN_DEPTH) / np.log(MAX_DEPTH / MIN_DEPTH)


def level_depth(level: np.ndarray) -> np.ndarray:
    """Depth at a place on the scale, metres: the inverse of :func:`depth_level`."""
    return MIN_DEPTH * (MAX_DEPTH / MIN_DEPTH)**level


def project_visible(points: Tensor, lidar2cam: Tensor, cam2img: Tensor, height: int,
                    width: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the points in view lie in the image.

    Args:
        points: (N, 3+), LiDAR frame, metres.
        lidar2cam: (4, 4).
        cam2img: (3, 3).
        height: Of the image, pixels.
        width: Of the image, pixels.

    Returns:
        tuple: the rows of ``points`` in view (M,), their pixels (M, 2) and depths (M,) metres.
    """
    points, lidar2cam, cam2img = (t.detach().cpu().double() for t in (points, lidar2cam, cam2img))
    pixels, depth = project_points(points[:, :3], lidar2cam, cam2img)
    seen = in_view(pixels, depth, height, width).nonzero()[:, 0]
    return seen.numpy(), pixels[seen].numpy(), depth[seen].numpy()
