"""Predicted matches and overlap of points and pixels, and the similarities behind them."""
from __future__ import annotations

from typing import Any, Callable, NamedTuple

import cv2
import numpy as np
from torch import Tensor

from .canvas import (TITLE_HEIGHT, WHITE, beside, colour_bar, colour_scale, dim, enlarge_cells, fit,
                     grey, legend, map_stride, scale_pixels, stack, strip, titled)
from .features import similarity_spaces
from .points import (MAX_DEPTH, PANEL_HEIGHT, depth_bar, draw_birds_eye, draw_depth, draw_discs,
                     project_visible)

WAYS = dict(
    cosine_hard='cosine similarity, most similar pixel',
    learned_soft='learned alignment, soft matching')
LIMITS = 3., 5., 10., 20.  # upper ends of the error bands, pixels; the last band is open
COLOURS = np.array([(60, 200, 90), (170, 220, 60), (255, 215, 40), (255, 140, 30), (225, 40, 50)],
                   np.uint8)
NUM_QUERIES = 3
WIDTH = 720  # of a panel of similarities; two fit side by side
OPACITY = 0.65
PURPLE = (190, 40, 255)
CELL = 1 / 96  # cells in which depths are compared, share of the image's width
# Indexed by 2 * ground truth + prediction.
OVERLAP_CLASSES = (((110, 110, 110), 'true negative'), ((235, 60, 50), 'false positive'),
                   ((255, 215, 40), 'false negative'), ((70, 205, 90), 'true positive'))
OVERLAP_COLOURS = np.array([colour for colour, _ in OVERLAP_CLASSES], np.uint8)
OVERLAP_OPACITY = 0.6


def draw_matches(image: np.ndarray, points: Tensor, sample: Any,
                 view: int) -> np.ndarray | None:
    """Draw points at their true pixels, coloured by the error of their match (paper, Fig. 8).

    Args:
        image, sample, view: See :mod:`nclr_plugin.visualization`.
        points: Not used; the matched points are in ``sample``.

    Returns:
        uint8 RGB picture with a panel for cosine similarity with hard matching and, if the network
        has it, one for the learned alignment with soft matching; ``None`` without matches.
    """
    if 'matchings' not in sample or not len(sample.matchings[view].points):
        return None
    matches = sample.matchings[view]
    true = matches.true_pixels.cpu().numpy()
    background, factor = fit(image)
    panels = []
    for name, way in WAYS.items():
        if name in matches:
            error = np.linalg.norm(matches.get(name).cpu().numpy() - true, axis=-1)
            colours = COLOURS[np.searchsorted(LIMITS, error, side='right')]
            panel = draw_discs(dim(background), scale_pixels(true, factor), colours, 3)
            panels.append(titled(panel, f'{way}: median error {np.median(error):.1f} px, '
                                 f'{100 * (error < LIMITS[0]).mean():.0f}% below {LIMITS[0]:g} px'))
    return stack(panels + [legend(list(zip(COLOURS.tolist(), band_labels())), background.shape[1])])


def band_labels() -> list[str]:
    """Return the labels of the error bands."""
    between = [f'{low:g} to {high:g} px' for low, high in zip(LIMITS, LIMITS[1:])]
    return [f'below {LIMITS[0]:g} px', *between, f'{LIMITS[-1]:g} px and more']


class Query(NamedTuple):
    """A point in view whose similarities are drawn.

    Attributes:
        index: Index of the point in ``voxel_points``.
        pixel: (2,) its true pixel.
        cell: Row-major index of the cell of that pixel.
    """
    index: int
    pixel: np.ndarray
    cell: int


class View(NamedTuple):
    """A view into which similarities are drawn.

    Attributes:
        background: Enlarged image without colours.
        factor: Factor of the enlargement.
        size: Height and width of the image.
        shape: Rows and columns of the feature map.
        points: (M, 3) all points.
        visible: (N,) indices of the points in view.
        pixels: (N, 2) pixels of the points in view.
    """
    background: np.ndarray
    factor: float
    size: tuple[int, int]
    shape: tuple[int, int]
    points: np.ndarray
    visible: np.ndarray
    pixels: np.ndarray


def draw_pixel_similarity(image: np.ndarray, points: Tensor, sample: Any,
                          view: int) -> np.ndarray | None:
    """Draw the similarity of all pixels to a point, for a few points (paper, Fig. 6).

    Args:
        image, points, sample, view: See :mod:`nclr_plugin.visualization`.

    Returns:
        uint8 RGB picture with a row for each query, of a panel for cosine similarity and, if the
        network has it, one for the learned alignment; ``None`` without features or without points
        in view.
    """
    return _draw(image, sample, view, _pixel_panel,
                 'Similarity of all pixels to one point. Purple dot: where the point truly lies; '
                 'white ring: most similar pixel')


def draw_point_similarity(image: np.ndarray, points: Tensor, sample: Any,
                          view: int) -> np.ndarray | None:
    """Draw the similarity of all points to a pixel, for a few pixels (paper, Fig. 7).

    Arguments and return value are those of :func:`draw_pixel_similarity`.
    """
    return _draw(image, sample, view, _point_panel,
                 'Similarity of all points to one pixel. Purple dot: the pixel; white ring: most '
                 'similar point of the scan')


def choose_queries(pixels: np.ndarray, depth: np.ndarray, width: int, height: int,
                   count: int) -> np.ndarray:
    """Choose points that stand out from their background, one in each vertical stripe.

    Among the points that are not occluded, that is the one with the largest ratio between the
    farthest depth around it and its own, typically on the outline of a car, pole or trunk.

    Args:
        pixels: (N, 2) pixels of the points in view.
        depth: (N,) depths, metres.
        width: Image width, pixels.
        height: Image height, pixels.
        count: Number of stripes.

    Returns:
        Indices of the chosen points, one for each stripe that contains points, left to right.
    """
    side = max(1., width * CELL)
    column, row = ((pixels.T + 0.5) / side).astype(int)
    shape = int(height / side) + 1, int(width / side) + 1
    nearest, farthest = np.full(shape, np.inf), np.zeros(shape)
    np.minimum.at(nearest, (row, column), depth)
    np.maximum.at(farthest, (row, column), np.minimum(depth, MAX_DEPTH))
    around = np.ones((3, 3), np.uint8)
    nearest, farthest = cv2.erode(nearest, around), cv2.dilate(farthest, around)
    contrast = farthest[row, column] / depth
    contrast[depth > 1.1 * nearest[row, column]] = 0
    stripe = ((pixels[:, 0] + 0.5) / width * count).astype(int).clip(0, count - 1)
    members = (np.flatnonzero(stripe == i) for i in range(count))
    return np.array([m[contrast[m].argmax()] for m in members if len(m)], int)


def _draw(image: np.ndarray, sample: Any, view: int, panel: Callable[..., np.ndarray],
          title: str) -> np.ndarray | None:
    if 'features' not in sample:
        return None
    size = image.shape[:2]
    visible, pixels, depth = project_visible(sample.voxel_points, sample.lidar2cam[view],
                                             sample.cam2img[view], *size)
    if not len(visible):
        return None
    background, factor = fit(image, WIDTH)
    scene = View(grey(background), factor, size, tuple(sample.gt_pixel_overlap.shape[-2:]),
                 sample.voxel_points.cpu().numpy(), visible, pixels)
    rows: list[np.ndarray] = []
    for chosen in choose_queries(pixels, depth, size[1], size[0], NUM_QUERIES):
        stride = map_stride(scene.shape, *size)
        column, row = ((pixels[chosen] + 0.5) / stride).astype(int)
        query = Query(visible[chosen], pixels[chosen], row * scene.shape[1] + column)
        panels = [panel(scene, query, name, of_points, of_pixels[view])
                  for name, (of_points, of_pixels) in similarity_spaces(sample.features).items()]
        rows.append(beside(panels, 8))
    picture = stack(rows)
    return stack([strip(title, picture.shape[1]), picture])


def _pixel_panel(view: View, query: Query, name: str, point_features: Tensor,
                 pixel_features: Tensor) -> np.ndarray:
    similarity = (pixel_features @ point_features[query.index]).cpu().numpy()
    row, column = divmod(int(similarity.argmax()), view.shape[1])
    best = scale_pixels(np.array([column, row], float), map_stride(view.shape, *view.size))
    level = enlarge_cells(_level(similarity).reshape(view.shape), *view.size,
                          *view.background.shape[:2])
    heat = (1 - OPACITY) * view.background + OPACITY * colour_scale(level)
    error = np.linalg.norm(best - query.pixel)
    return _finish(heat.astype(np.uint8), view, query, best, similarity,
                   f'{name}: most similar pixel {error:.1f} px away')


def _point_panel(view: View, query: Query, name: str, point_features: Tensor,
                 pixel_features: Tensor) -> np.ndarray:
    similarity = (point_features @ pixel_features[query.cell]).cpu().numpy()
    best = int(similarity.argmax())
    away = np.linalg.norm(view.points[best] - view.points[query.index])
    order = np.argsort(similarity[view.visible], kind='stable')
    heat = draw_discs(dim(view.background), scale_pixels(view.pixels[order], view.factor),
                      colour_scale(_level(similarity)[view.visible[order]]), 2)
    hit = np.flatnonzero(view.visible == best)
    where = '' if len(hit) else ', out of view'
    return _finish(heat, view, query, view.pixels[hit[0]] if len(hit) else None, similarity,
                   f'{name}: most similar point {away:.1f} m away{where}')


def _finish(heat: np.ndarray, view: View, query: Query, best: np.ndarray | None,
            similarity: np.ndarray, title: str) -> np.ndarray:
    """Add the marks, the colour bar and the title."""

    def circle(pixel: np.ndarray, radius: int, colour: tuple[int, ...], thickness: int) -> None:
        centre = tuple(int(x) for x in np.rint(scale_pixels(pixel, view.factor)))
        cv2.circle(heat, centre, radius, colour, thickness, cv2.LINE_AA)

    if best is not None:
        circle(best, 11, (0, 0, 0), 4)
        circle(best, 11, WHITE, 2)
    circle(query.pixel, 7, WHITE, -1)
    circle(query.pixel, 5, PURPLE, -1)
    low, high = float(similarity.min()), float(similarity.max())
    bar = colour_bar(len(heat), lambda level: colour_scale(1 - level),
                     [(1 - share, f'{low + share * (high - low):.2f}') for share in (0, .5, 1)], 16)
    return titled(beside([heat, bar]), title)


def _level(similarity: np.ndarray) -> np.ndarray:
    low, high = similarity.min(), similarity.max()
    return (similarity - low) / max(high - low, 1e-6)


def draw_overlap(image: np.ndarray, points: Tensor, sample: Any,
                 view: int) -> np.ndarray | None:
    """Draw the scan on the image, and the predicted overlap of pixels and points.

    Args:
        image, points, sample, view: See :mod:`nclr_plugin.visualization`.

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
                         OVERLAP_COLOURS[point_classes[visible[order]]], 2)
    column = stack([
        titled(beside([truth, depth_bar(len(truth))]), 'true projection, coloured by depth'),
        titled(cells, f'pixels: {cell_title}'),
        titled(in_view, 'points in view'),
        legend(OVERLAP_CLASSES[:0:-1], background.shape[1])])

    # Errors are drawn on top, then what overlaps, then the rest.
    order = np.argsort(np.array([0, 3, 2, 1])[point_classes], kind='stable')
    above = draw_birds_eye(sample.voxel_points[order.copy()],
                           OVERLAP_COLOURS[point_classes[order]], *camera, width,
                           len(column) - 2 * TITLE_HEIGHT)
    above = titled(above, f'all points from above: {point_title}')
    return beside([column, stack([above, legend(OVERLAP_CLASSES[::-1], above.shape[1])])])


def classify_overlap(sample: Any, kind: str, view: int) -> tuple[np.ndarray, str]:
    """Return indices into ``OVERLAP_CLASSES`` and a title with the IoU.

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
    colours = OVERLAP_OPACITY * OVERLAP_COLOURS[classes]
    tinted = ((1 - OVERLAP_OPACITY) * image + colours).astype(np.uint8)
    return np.where((classes > 0)[..., None], tinted, image)
