"""Features as colours: like colours, like features."""
from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np
from torch import Tensor

from .birds_eye import PANEL_HEIGHT, draw_birds_eye
from .canvas import TITLE_HEIGHT, beside, dim, fit, scale_pixels, stack, titled
from .cells import enlarge_cells
from .points import draw_discs, project_visible
from .principal import principal_axes


def draw_features(image: np.ndarray, points: Tensor, sample: Any,
                  view: int) -> Optional[np.ndarray]:
    """The first three principal components of the aligned features as red, green and blue.

    Args:
        image: RGB, (H, W, 3) uint8, as the model sees it.
        points: Not used; the points that have features are in ``sample``.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` with ``features``.
        view: Which view.

    Returns:
        RGB picture, uint8: image, pixels, points in view, points from above; None without
        features or without overlap.
    """
    if 'features' not in sample:
        return None
    overlap = [sample.get(name)[view].flatten().cpu().numpy()
               for name in ('gt_point_overlap', 'gt_pixel_overlap')]
    if not all(mask.any() for mask in overlap):
        return None
    size = image.shape[:2]
    background, factor = fit(image, height=PANEL_HEIGHT)
    of_points, of_cells = feature_colours(
        sample.features.unified_points.cpu().numpy(),
        sample.features.unified_pixels[view].cpu().numpy(), *overlap)
    shape = tuple(sample.gt_pixel_overlap.shape[-2:])
    camera = sample.lidar2cam[view], sample.cam2img[view]
    cells = enlarge_cells(of_cells.reshape(*shape, 3), *size, *background.shape[:2])
    seen, pixels, depth = project_visible(sample.voxel_points, *camera, *size)
    order = np.argsort(-depth, kind='stable')
    in_view = draw_discs(dim(background) // 2, scale_pixels(pixels[order], factor),
                         of_points[seen[order]], 2)
    column = stack([titled(background, 'image'),
                    titled(cells, 'features of pixels: like colours, like features'),
                    titled(in_view, 'features of points in view')])
    above = draw_birds_eye(sample.voxel_points, of_points, *camera, size[1],
                           len(column) - TITLE_HEIGHT)
    return beside([column, titled(above, 'features of all points from above')])


def feature_colours(points: np.ndarray, pixels: np.ndarray, point_overlap: np.ndarray,
                    pixel_overlap: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Colours of features by the principal components of those in the overlapping area.

    The mean of each modality is taken off first: a constant difference between them would
    otherwise be all one sees.

    Args:
        points: (N, D).
        pixels: (L, D).
        point_overlap: (N,) bool, not all False.
        pixel_overlap: (L,) bool, not all False.

    Returns:
        tuple: (N, 3) and (L, 3) uint8 RGB; of the components in the overlapping area, 2% at both
        ends are saturated.
    """
    points = points - points[point_overlap].mean(axis=0)
    pixels = pixels - pixels[pixel_overlap].mean(axis=0)
    shared = np.concatenate([points[point_overlap], pixels[pixel_overlap]])
    _, axes = principal_axes(shared, 3)
    low, high = np.quantile(shared @ axes, (0.02, 0.98), axis=0)

    def colours(features: np.ndarray) -> np.ndarray:
        level = np.clip((features @ axes - low) / np.maximum(high - low, 1e-6), 0, 1)
        return np.rint(255 * level).astype(np.uint8)

    return colours(points), colours(pixels)
