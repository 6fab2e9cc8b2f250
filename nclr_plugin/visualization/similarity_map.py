"""How similar all pixels are to one point, and all points to one pixel (paper, Fig. 6 and 7)."""
from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from ..utils.optional import optional_import
from .canvas import (WHITE, beside, colour_bar, colour_scale, dim, fit, grey, scale_pixels,
                     stack, strip, titled)
from .cells import enlarge_cells, map_stride
from .points import draw_discs, project_visible
from .queries import choose_queries

QUERIES = 3
WIDTH = 720  # of a panel: two stand side by side
OPACITY = 0.65
PURPLE = (190, 40, 255)


class Query(NamedTuple):
    """A point in view and what is compared with it.

    Attributes:
        row: Its row in ``voxel_points``.
        pixel: (2,) where it truly projects.
        cell: Row-major index of the cell it projects into.
    """
    row: int
    pixel: np.ndarray
    cell: int


class Scene(NamedTuple):
    """One view: what is drawn into it.

    Attributes:
        background: Enlarged image without colours.
        factor: Of the enlargement.
        size: Height and width of the image.
        shape: Rows and columns of the feature map.
        points: (M, 3).
        seen, pixels: Points in view (N,) and where they project (N, 2).
    """
    background: np.ndarray
    factor: float
    size: Tuple[int, int]
    shape: Tuple[int, int]
    points: np.ndarray
    seen: np.ndarray
    pixels: np.ndarray


def draw_pixel_similarity(image: np.ndarray, points: Tensor, sample: Any,
                          view: int) -> Optional[np.ndarray]:
    """Similarity of all pixels to a point, for a few points.

    Args:
        image: RGB, (H, W, 3) uint8, as the model sees it.
        points: Not used; the points that have features are in ``sample``.
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` with ``features``.
        view: Which view.

    Returns:
        RGB picture, uint8, a row for each query with one panel for the cosine and, if the network
        has it, one for the learned alignment; None without features or without points in view.
    """
    return _draw(image, sample, view, _pixel_panel,
                 'Similarity of all pixels to one point. Purple dot: where the point truly lies; '
                 'white ring: most similar pixel')


def draw_point_similarity(image: np.ndarray, points: Tensor, sample: Any,
                          view: int) -> Optional[np.ndarray]:
    """Similarity of all points to a pixel, for a few pixels; see :func:`draw_pixel_similarity`."""
    return _draw(image, sample, view, _point_panel,
                 'Similarity of all points to one pixel. Purple dot: the pixel; white ring: most '
                 'similar point of the scan')


def similarity_spaces(features: Any) -> Dict[str, Tuple[Tensor, Tensor]]:
    """Features of points and pixels by the name of the similarity that is their dot product."""
    spaces = {'cosine': (features.points, features.pixels)}
    if not (torch.equal(features.points, features.unified_points)
            and torch.equal(features.pixels, features.unified_pixels)):
        spaces['learned alignment'] = features.unified_points, features.unified_pixels
    return spaces


def _draw(image: np.ndarray, sample: Any, view: int, panel: Callable[..., np.ndarray],
          title: str) -> Optional[np.ndarray]:
    if 'features' not in sample:
        return None
    size = image.shape[:2]
    seen, pixels, depth = project_visible(sample.voxel_points, sample.lidar2cam[view],
                                          sample.cam2img[view], *size)
    if not len(seen):
        return None
    background, factor = fit(image, WIDTH)
    scene = Scene(grey(background), factor, size, tuple(sample.gt_pixel_overlap.shape[-2:]),
                  sample.voxel_points.cpu().numpy(), seen, pixels)
    rows: List[np.ndarray] = []
    for chosen in choose_queries(pixels, depth, size[1], size[0], QUERIES):
        stride = map_stride(scene.shape, *size)
        column, row = ((pixels[chosen] + 0.5) / stride).astype(int)
        query = Query(seen[chosen], pixels[chosen], row * scene.shape[1] + column)
        rows.append(beside([
            panel(scene, query, name, of_points, of_pixels[view])
            for name, (of_points, of_pixels) in similarity_spaces(sample.features).items()], 8))
    picture = stack(rows)
    return stack([strip(title, picture.shape[1]), picture])


def _pixel_panel(scene: Scene, query: Query, name: str, of_points: Tensor,
                 of_pixels: Tensor) -> np.ndarray:
    similarity = (of_pixels @ of_points[query.row]).cpu().numpy()
    row, column = divmod(int(similarity.argmax()), scene.shape[1])
    best = scale_pixels(np.array([column, row], float), map_stride(scene.shape, *scene.size))
    level = enlarge_cells(_level(similarity).reshape(scene.shape), *scene.size,
                          *scene.background.shape[:2])
    heat = (1 - OPACITY) * scene.background + OPACITY * colour_scale(level)
    error = np.linalg.norm(best - query.pixel)
    return _finish(heat.astype(np.uint8), scene, query, best, similarity,
                   f'{name}: most similar pixel {error:.1f} px away')


def _point_panel(scene: Scene, query: Query, name: str, of_points: Tensor,
                 of_pixels: Tensor) -> np.ndarray:
    similarity = (of_points @ of_pixels[query.cell]).cpu().numpy()
    best = int(similarity.argmax())
    away = np.linalg.norm(scene.points[best] - scene.points[query.row])
    order = np.argsort(similarity[scene.seen], kind='stable')
    heat = draw_discs(dim(scene.background), scale_pixels(scene.pixels[order], scene.factor),
                      colour_scale(_level(similarity)[scene.seen[order]]), 2)
    place = np.flatnonzero(scene.seen == best)
    where = '' if len(place) else ', out of view'
    return _finish(heat, scene, query, scene.pixels[place[0]] if len(place) else None, similarity,
                   f'{name}: most similar point {away:.1f} m away{where}')


def _finish(heat: np.ndarray, scene: Scene, query: Query, best: Optional[np.ndarray],
            similarity: np.ndarray, title: str) -> np.ndarray:
    """Add marks, the bar and the title."""
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Pictures')

    def circle(pixel: np.ndarray, radius: int, colour: Tuple[int, ...], thickness: int) -> None:
        centre = tuple(int(x) for x in np.rint(scale_pixels(pixel, scene.factor)))
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
