"""Where the overlapping area was found rightly, wrongly or not at all (paper, Fig. 10)."""
from __future__ import annotations

from typing import Any, Optional

import numpy as np
from torch import Tensor

from .birds_eye import PANEL_HEIGHT, draw_birds_eye
from .canvas import TITLE_HEIGHT, beside, dim, fit, grey, legend, scale_pixels, stack, titled
from .cells import enlarge_cells
from .overlay import depth_bar
from .points import draw_depth, draw_discs, project_visible

# What the two bits "truly overlaps" and "predicted" mean: their sum is the row.
CLASSES = (((110, 110, 110), 'rightly left out'), ((235, 60, 50), 'wrongly found'),
           ((255, 215, 40), 'missed'), ((70, 205, 90), 'rightly found'))
COLOURS = np.array([colour for colour, _ in CLASSES], np.uint8)
OPACITY = 0.6


def draw_overlap(image: np.ndarray, points: Tensor, sample: Any,
                 view: int) -> Optional[np.ndarray]:
    """The scan on the image, then which cells, points in view and points of the scan were found.

    Args:
        image: RGB, (H, W, 3) uint8, as the model sees it.
        points: (N, 3+), LiDAR frame after placement, metres.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` of a network with overlap
            head.
        view: Which view.

    Returns:
        RGB picture, uint8; None for a network without overlap head.
    """
    if 'pred_point_overlap' not in sample:
        return None
    height, width = image.shape[:2]
    background, factor = fit(image, height=PANEL_HEIGHT)
    camera = sample.lidar2cam[view], sample.cam2img[view]
    of_points, point_title = _classify(sample, 'point', view)
    of_cells, cell_title = _classify(sample, 'pixel', view)

    _, pixels, depth = project_visible(points, *camera, height, width)
    truth = draw_depth(dim(background), scale_pixels(pixels, factor), depth)
    of_pixels = enlarge_cells(of_cells, height, width, *background.shape[:2])
    cells = _tint(grey(background), of_pixels)
    seen, pixels, depth = project_visible(sample.voxel_points, *camera, height, width)
    order = np.argsort(-depth, kind='stable')
    in_view = draw_discs(dim(grey(background)), scale_pixels(pixels[order], factor),
                         COLOURS[of_points[seen[order]]], 2)
    column = stack([
        titled(beside([truth, depth_bar(len(truth))]), 'true projection, coloured by depth'),
        titled(cells, f'pixels: {cell_title}'),
        titled(in_view, 'points in view'),
        legend(CLASSES[:0:-1], background.shape[1])])

    # Errors over what is right, and what overlaps over the rest.
    order = np.argsort(np.array([0, 3, 2, 1])[of_points], kind='stable')
    above = draw_birds_eye(sample.voxel_points[order.copy()], COLOURS[of_points[order]], *camera,
                           width, len(column) - 2 * TITLE_HEIGHT)
    above = titled(above, f'all points from above: {point_title}')
    return beside([column, stack([above, legend(CLASSES[::-1], above.shape[1])])])


def _classify(sample: Any, kind: str, view: int) -> Any:
    """Rows of ``CLASSES`` and a title."""
    threshold = float(sample.overlap_thresholds[('point', 'pixel').index(kind)])
    truth = sample.get(f'gt_{kind}_overlap')[view].cpu().numpy()
    found = sample.get(f'pred_{kind}_overlap')[view].cpu().numpy() > threshold
    either = (truth | found).sum()
    iou = f'{(truth & found).sum() / either:.3f}' if either else 'undefined'
    return 2 * truth.astype(int) + found, f'IoU {iou} (threshold {threshold:g})'


def _tint(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Colour an image by the class of its pixels; what was rightly left out stays."""
    tinted = ((1 - OPACITY) * image + OPACITY * COLOURS[classes]).astype(np.uint8)
    return np.where((classes > 0)[..., None], tinted, image)
