"""A scan drawn into the image by one pose or several."""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..utils.optional import optional_import
from ..geometry.camera import in_view, project_points
from ..geometry.se3 import rotation_error_geodesic_deg, translation_error

MIN_DEPTH, MAX_DEPTH = 2., 60.  # metres at the ends of the colour scale
MIN_WIDTH = 960  # a picture of less is enlarged
DIMMED = 0.6  # brightness of the image under the points
TITLE_HEIGHT = 32
LEGEND_WIDTH = 80


def draw_points(image: np.ndarray, pixels: np.ndarray, depth: np.ndarray,
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
    reach = np.arange(-int(radius), int(radius) + 1)
    disc = np.stack(np.meshgrid(reach, reach), axis=-1).reshape(-1, 2)
    disc = disc[(disc**2).sum(axis=1) <= radius**2]
    # Point by point in one list: of several that hit a pixel, the last and nearest stays.
    hit = (np.rint(pixels[order]).astype(np.int64)[:, None] + disc).reshape(-1, 2)
    colours = np.repeat(depth_colours(depth[order]), len(disc), axis=0)
    height, width = image.shape[:2]
    inside = (hit >= 0).all(axis=1) & (hit < (width, height)).all(axis=1)
    drawn = image.copy()
    drawn[hit[inside, 1], hit[inside, 0]] = colours[inside]
    return drawn


def depth_colours(depth: np.ndarray) -> np.ndarray:
    """Colours from red (near) to blue (far), logarithmic from ``MIN_DEPTH`` to ``MAX_DEPTH``.

    Args:
        depth: (N,) metres.

    Returns:
        (N, 3) uint8 RGB.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Overlays')
    level = np.rint(255 * (1 - _scale_position(depth))).astype(np.uint8)
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_TURBO)
    return scale[level, 0, ::-1]


def compare_poses(image: np.ndarray, points: Tensor, cam2img: Tensor,
                  poses: Dict[str, Optional[Tensor]]) -> np.ndarray:
    """Panels of one image, one below the other, with the scan drawn by a different pose in each.

    Args:
        image: RGB, (H, W, 3) uint8; enlarged by a whole factor if it is small.
        points: (N, 3+), LiDAR frame, metres.
        cam2img: (3, 3), of ``image``.
        poses: LiDAR to camera, (4, 4), by the title of the panel; None draws no points.

    Returns:
        RGB picture, uint8, with titles and a colour bar in metres.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Overlays')
    height, width = image.shape[:2]
    factor = max(1, -(-MIN_WIDTH // width))
    background = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    background = (background * DIMMED).astype(np.uint8)
    panels = []
    for title, pose in poses.items():
        panel = background
        if pose is not None:
            pixels, depth = _visible(points, cam2img, pose, height, width)
            panel = draw_points(panel, (pixels + 0.5) * factor - 0.5, depth)
        panels += [_title(title, width * factor), panel]
    picture = np.concatenate(panels)
    return np.concatenate([picture, _legend(len(picture))], axis=1)


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


def _visible(points: Tensor, cam2img: Tensor, pose: Tensor, height: int,
             width: int) -> Tuple[np.ndarray, np.ndarray]:
    """Pixels (M, 2) and depth (M,) of the points in view."""
    points, cam2img, pose = (t.detach().cpu().double() for t in (points, cam2img, pose))
    pixels, depth = project_points(points[:, :3], pose, cam2img)
    seen = in_view(pixels, depth, height, width)
    return pixels[seen].numpy(), depth[seen].numpy()


def _scale_position(depth: Any) -> np.ndarray:
    """Place on the colour scale, 0 (near) to 1 (far)."""
    return np.log(np.clip(depth, MIN_DEPTH, MAX_DEPTH) / MIN_DEPTH) / np.log(MAX_DEPTH / MIN_DEPTH)


def _title(text: str, width: int) -> np.ndarray:
    strip = np.full((TITLE_HEIGHT, width, 3), 32, np.uint8)
    return _write(strip, text, (8, TITLE_HEIGHT - 10), 0.6)


def _legend(height: int) -> np.ndarray:
    """Colour bar, near at the top."""
    legend = np.full((height, LEGEND_WIDTH, 3), 32, np.uint8)
    top, bottom = TITLE_HEIGHT, height - TITLE_HEIGHT
    depth = np.geomspace(MIN_DEPTH, MAX_DEPTH, bottom - top)
    legend[top:bottom, 8:24] = depth_colours(depth)[:, None]
    for metres in (MIN_DEPTH, 5, 10, 20, 40, MAX_DEPTH):
        row = int(round(top + (bottom - top - 1) * float(_scale_position(metres))))
        legend = _write(legend, f'{metres:g} m', (28, row + 4), 0.4)
    return legend


def _write(image: np.ndarray, text: str, corner: Tuple[int, int], size: float) -> np.ndarray:
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Overlays')
    return cv2.putText(np.ascontiguousarray(image), text, corner, cv2.FONT_HERSHEY_SIMPLEX, size,
                       (255, 255, 255), 1, cv2.LINE_AA)
