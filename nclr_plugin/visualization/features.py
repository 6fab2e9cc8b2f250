"""Features of points and pixels, as colours, and embedded in the plane."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..utils.optional import optional_import
from .points import PANEL_HEIGHT, draw_birds_eye, draw_discs, project_visible
from .canvas import (TITLE_HEIGHT, beside, dim, enlarge_cells, fit, new_figure, render,
                     scale_pixels, stack, titled)

MAX_DOTS = 200  # of each modality
TITLES = {'cosine': 'before alignment', 'learned alignment': 'after learned alignment'}
POINT_COLOUR, PIXEL_COLOUR = '#d1495b', '#2e86ab'


def draw_features(image: np.ndarray, points: Tensor, sample: Any,
                  view: int) -> np.ndarray | None:
    """Draw the first three principal components of the aligned features as red, green and blue.

    Args:
        image, sample, view: See :mod:`nclr_plugin.visualization`.
        points: Not used; the points that have features are in ``sample``.

    Returns:
        uint8 RGB picture of the image, the pixels, the points in view and the points from above;
        ``None`` without features, or if those of points or pixels in the overlap are too few.
    """
    if 'features' not in sample:
        return None
    overlap = [sample.get(name)[view].flatten().cpu().numpy()
               for name in ('gt_point_overlap', 'gt_pixel_overlap')]
    if not all(mask.any() for mask in overlap) or sum(mask.sum() for mask in overlap) < 3:
        return None
    size = image.shape[:2]
    background, factor = fit(image, height=PANEL_HEIGHT)
    point_colours, cell_colours = feature_colours(
        sample.features.aligned_points.cpu().numpy(),
        sample.features.aligned_pixels[view].cpu().numpy(), *overlap)
    shape = tuple(sample.gt_pixel_overlap.shape[-2:])
    camera = sample.lidar2cam[view], sample.cam2img[view]
    cells = enlarge_cells(cell_colours.reshape(*shape, 3), *size, *background.shape[:2])
    visible, pixels, depth = project_visible(sample.voxel_points, *camera, *size)
    order = np.argsort(-depth, kind='stable')
    in_view = draw_discs(dim(background) // 2, scale_pixels(pixels[order], factor),
                         point_colours[visible[order]], 2)
    column = stack([titled(background, 'image'),
                    titled(cells, 'features of pixels: similar features have similar colours'),
                    titled(in_view, 'features of points in view')])
    above = draw_birds_eye(sample.voxel_points, point_colours, *camera, size[1],
                           len(column) - TITLE_HEIGHT)
    return beside([column, titled(above, 'features of all points from above')])


def feature_colours(points: np.ndarray, pixels: np.ndarray, point_overlap: np.ndarray,
                    pixel_overlap: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour features by the principal components of those in the overlapping area.

    The mean of each modality is subtracted first, since a constant difference between them would
    hide everything else.

    Args:
        points: (N, D) features of points.
        pixels: (L, D) features of pixels.
        point_overlap: (N,) bool, not all False.
        pixel_overlap: (L,) bool, not all False; both together have three features or more.

    Returns:
        (N, 3) and (L, 3) uint8 RGB. Each channel saturates at the 2% and 98% quantiles of the
        overlapping area.
    """
    decomposition = optional_import('sklearn.decomposition', 'scikit-learn', 'Drawing features')
    points = points - points[point_overlap].mean(axis=0)
    pixels = pixels - pixels[pixel_overlap].mean(axis=0)
    shared = np.concatenate([points[point_overlap], pixels[pixel_overlap]])
    pca = decomposition.PCA(3, svd_solver='full').fit(shared)
    low, high = np.quantile(pca.transform(shared), (0.02, 0.98), axis=0)

    def colours(features: np.ndarray) -> np.ndarray:
        level = np.clip((pca.transform(features) - low) / np.maximum(high - low, 1e-6), 0, 1)
        return np.rint(255 * level).astype(np.uint8)

    return colours(points), colours(pixels)


def plot_features(image: np.ndarray, points: Tensor, sample: Any,
                  view: int) -> np.ndarray | None:
    """Plot the features of the overlapping area in the plane (paper, Fig. 4).

    Args:
        image, points: Not used; the points that have features are in ``sample``.
        sample, view: See :mod:`nclr_plugin.visualization`.

    Returns:
        uint8 RGB picture with a panel for the features before and, if the network has it, one for
        those after the learned alignment; ``None`` without features or without overlap.
    """
    if 'features' not in sample:
        return None
    point_idx = evenly_spaced_idx(sample.gt_point_overlap[view])
    cell_idx = evenly_spaced_idx(sample.gt_pixel_overlap[view].flatten())
    if min(len(point_idx), len(cell_idx)) < 2:
        return None
    spaces = similarity_spaces(sample.features)
    figure, axes = new_figure(720 * len(spaces), 640, len(spaces))
    for axis, (name, features) in zip(axes, spaces.items()):
        point_features, pixel_features = features
        joined = np.concatenate([point_features[point_idx].cpu().numpy(),
                                 pixel_features[view][cell_idx].cpu().numpy()])
        plane = _to_plane(joined)
        for title, colour, dots in (('points', POINT_COLOUR, plane[:len(point_idx)]),
                                    ('pixels', PIXEL_COLOUR, plane[len(point_idx):])):
            axis.scatter(*dots.T, s=14, c=colour, alpha=0.7, linewidths=0, label=title)
        axis.set_title(f'{TITLES[name] if len(spaces) > 1 else "without alignment"} (t-SNE)',
                       fontsize=15)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.legend(loc='best', fontsize=13, markerscale=2)
    figure.suptitle(f'Features of {len(point_idx)} points and {len(cell_idx)} pixels of the '
                    'overlapping area', fontsize=15)
    return render(figure)


def evenly_spaced_idx(mask: Tensor) -> np.ndarray:
    """Return at most ``MAX_DOTS`` indices at which the mask is True, evenly spaced."""
    index = np.flatnonzero(mask.cpu().numpy())
    return index[np.linspace(0, len(index) - 1, min(MAX_DOTS, len(index))).astype(int)]


def similarity_spaces(features: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the features of points and pixels by the name of their dot product."""
    spaces = {'cosine': (features.points, features.pixels)}
    if not (torch.equal(features.points, features.aligned_points)
            and torch.equal(features.pixels, features.aligned_pixels)):
        spaces['learned alignment'] = features.aligned_points, features.aligned_pixels
    return spaces


def _to_plane(features: np.ndarray) -> np.ndarray:
    """Embed features (N, D) in the plane by t-SNE, (N, 2)."""
    manifold = optional_import('sklearn.manifold', 'scikit-learn', 'Drawing features')
    perplexity = min(30., (len(features) - 1) / 3)
    method = manifold.TSNE(perplexity=perplexity, init='pca', random_state=0)
    return method.fit_transform(features.astype(np.float32))
