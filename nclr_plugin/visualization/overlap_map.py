"""Predicted overlap, compared with the ground truth (paper, Fig. 10)."""
from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from .birds_eye import PANEL_HEIGHT, draw_birds_eye
from .canvas import (TITLE_HEIGHT, beside, dim, enlarge_cells, fit, grey, legend, scale_pixels,
                     stack, titled)
from .points import depth_bar, draw_depth, draw_discs, project_visible

# Indexed by 2 * ground truth + prediction.
CLASSES = (((110, 110, 110), 'rightly left out'), ((235, 60, 50), 'wrongly found'),
           ((255, 215, 40), 'missed'), ((70, 205, 90), 'rightly found'))
COLOURS = np.array([colour for colour, _ in CLASSES], np.uint8)
OPACITY = 0.6


def draw_overlap(image: np.ndarray, points: Tensor, sample: Any,
                 view: int) -> np.ndarray | None:
    """Draw the scan on the image, and the predicted overlap of pixels and points.

    Args:
        image: (H, W, 3) uint8 RGB, as given to the model.
        points: (N, 3+) points in the LiDAR frame after the random transform, metres.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` of a network with overlap
            head.
        view: Index of the view.

    Returns:
        uint8 RGB picture; ``None`` for a network without overlap head.
    """
    if 'pred_point_overlap' not in sample:
        return None
    height, width = image.shape[:2]
    background, factor = fit(image, height=PANEL_HEIGHT)
    camera = sample.lidar2cam[view], sample.cam2img[view]
    point_classes, point_title = classify_overlap(sample, 'point', view)
    cell_classes, cell_title = classify_overlap(sample, 'pixel', view)

    _, pixels, depth = project_visible(points, *camera, height, width)
    truth = draw_depth(dim(background), scale_pixels(pixels, factor), depth)
    pixel_classes = enlarge_cells(cell_classes, height, width, *background.shape[:2])
    cells = _tint(grey(background), pixel_classes)
    visible, pixels, depth = project_visible(sample.voxel_points, *camera, height, width)
    order = np.argsort(-depth, kind='stable')
    in_view = draw_discs(dim(grey(background)), scale_pixels(pixels[order], factor),
                         COLOURS[point_classes[visible[order]]], 2)
    column = stack([
        titled(beside([truth, depth_bar(len(truth))]), 'true projection, coloured by depth'),
        titled(cells, f'pixels: {cell_title}'),
        titled(in_view, 'points in view'),
        legend(CLASSES[:0:-1], background.shape[1])])

    # Errors are drawn on top, then what overlaps, then the rest.
    order = np.argsort(np.array([0, 3, 2, 1])[point_classes], kind='stable')
    above = draw_birds_eye(sample.voxel_points[order.copy()], COLOURS[point_classes[order]],
                           *camera, width, len(column) - 2 * TITLE_HEIGHT)
    above = titled(above, f'all points from above: {point_title}')
    return beside([column, stack([above, legend(CLASSES[::-1], above.shape[1])])])


def classify_overlap(sample: Any, kind: str, view: int) -> tuple[np.ndarray, str]:
    """Return indices into ``CLASSES`` and a title with the IoU.

    Args:
        sample: Data sample with true and predicted overlap.
        kind: ``'point'`` or ``'pixel'``.
        view: Index of the view.
    """
    threshold = float(sample.overlap_thresholds[('point', 'pixel').index(kind)])
    truth = sample.get(f'gt_{kind}_overlap')[view].cpu().numpy()
    predicted = sample.get(f'pred_{kind}_overlap')[view].cpu().numpy() > threshold
    either = (truth | predicted).sum()
    iou = f'{(truth & predicted).sum() / either:.3f}' if either else 'undefined'
    return 2 * truth.astype(int) + predicted, f'IoU {iou} (threshold {threshold:g})'


def _tint(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Colour an image by the class of its pixels; true negatives stay as they are."""
    tinted = ((1 - OPACITY) * image + OPACITY * COLOURS[classes]).astype(np.uint8)
    return np.where((classes > 0)[..., None], tinted, image)
