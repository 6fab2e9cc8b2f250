"""Sheet of a refinement: overlays before and after, and scores."""
from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from .canvas import (beside, fit, grey, new_figure, render, scale_pixels, stack, strip, titled)
from .points import depth_bar, draw_depth, project_visible

FRAME_WIDTH = 920  # of an overlay, pixels
SPACE = 8
PLOT_HEIGHT = 300
BRIGHTNESS = 0.8  # of the images, so that points stand out
SPARSE = 6.  # mean distance of points from which they are drawn larger, pixels
RADII, SPARSE_RADII = (0., 1.5), (1., 2.5)  # of points, and of those on outlines, pixels
REACH = 1.7  # mean distances of points within which a point hides others
NEARER = 0.6  # depth of a point on an outline, relative to what is beside it
COLUMNS = 'before: the guess', 'after: the refined pose'
AXES = 'about x (pitch)', 'about y (yaw)', 'about z (roll)', 'x (right)', 'y (down)', 'z (forward)'
STYLES = (dict(color='#e07b00', linestyle='--', linewidth=2),
          dict(color='#2e86ab', linestyle='-', linewidth=2.5))


class Frame(NamedTuple):
    """A frame of a sheet.

    Attributes:
        title: Title of its panels.
        image: RGB, (H, W, 3) uint8, undistorted.
        points: (N, 3 or more), LiDAR frame, metres.
        cam2img: (3, 3).
        scores: Scores before and after.
        ref2cam: (4, 4), pose of the reference camera, whose poses are drawn, relative to its own.
    """
    title: str
    image: np.ndarray
    points: np.ndarray
    cam2img: np.ndarray
    scores: Sequence[float]
    ref2cam: np.ndarray = np.eye(4)


def best_median_worst(scores: np.ndarray) -> dict[str, int]:
    """Return the indices of the frames with the highest, the median and the lowest score.

    Args:
        scores: (F,) scores; with fewer than three frames, each is named once.
    """
    order = np.argsort(-scores, kind='stable')
    named = dict(best=order[0], worst=order[-1], median=order[len(order) // 2])
    first = {int(idx): name for name, idx in reversed(list(named.items()))}
    return {name: idx for name, idx in ((name, int(named[name])) for name in (
        'best', 'median', 'worst')) if first[idx] == name}


def draw_refinement(heading: str, frames: Sequence[Frame], lidar2cam: Sequence[np.ndarray],
                    offsets: np.ndarray, scores: Sequence[np.ndarray]) -> np.ndarray:
    """Draw frames before and after a refinement, and the scores along the axes of the camera.

    Args:
        heading: Line at the top.
        frames: Frames to show, such as those of :func:`best_median_worst`.
        lidar2cam: (4, 4) before and after.
        offsets: (6, S) rotations about the camera's axes, degrees, and translations along them,
            metres.
        scores: (6, S) scores at these offsets from the pose before, and from the pose after.

    Returns:
        uint8 RGB picture.
    """
    rows = [_overlays(frame, lidar2cam) for frame in frames]
    titles = [strip(title, FRAME_WIDTH) for title in COLUMNS]
    pictures = stack([beside(titles, SPACE), *rows], SPACE)
    pictures = beside([pictures, depth_bar(len(rows[0]))])
    plots = _plot_scores(offsets, scores, pictures.shape[1])
    return stack([strip(heading, pictures.shape[1], 40), pictures, plots], SPACE)


def _overlays(frame: Frame, lidar2cam: Sequence[np.ndarray]) -> np.ndarray:
    """Draw the points on the image by each pose, side by side.

    Points on outlines of objects are larger: where they do not line up, the pose is wrong.
    """
    background, factor = fit(frame.image, FRAME_WIDTH)
    background = (grey(background) * BRIGHTNESS).astype(np.uint8)
    panels = []
    for pose, score in zip(lidar2cam, frame.scores):
        _, pixels, depth = project_visible(frame.points, frame.ref2cam @ pose, frame.cam2img,
                                           *frame.image.shape[:2])
        pixels = scale_pixels(pixels, factor)
        spacing = np.sqrt(background[..., 0].size / max(1, len(pixels)))
        outline = is_on_outline(pixels, depth, REACH * spacing)
        radius, outline_radius = RADII if spacing < SPARSE else SPARSE_RADII
        panel = draw_depth(background, pixels, depth, radius)
        panel = draw_depth(panel, pixels[outline], depth[outline], outline_radius)
        panels.append(titled(panel, f'{frame.title}: score {score:.3g}'))
    return beside(panels, SPACE)


def is_on_outline(pixels: np.ndarray, depth: np.ndarray, reach: float) -> np.ndarray:
    """Tell which points lie beside much farther ones, as the outlines of objects do.

    Args:
        pixels: (N, 2).
        depth: (N,), metres.
        reach: Distance within which points are beside each other, pixels.

    Returns:
        (N,) bool.
    """
    if not len(depth):
        return np.zeros(0, bool)
    cell = np.floor(pixels / reach).astype(int)
    column, row = (cell - cell.min(axis=0) + 1).T
    farthest = np.zeros((row.max() + 2, column.max() + 2))
    np.maximum.at(farthest, (row, column), depth)
    # Not above and below: the ground recedes, too.
    return depth < NEARER * np.maximum(farthest[row, column - 1], farthest[row, column + 1])


def _plot_scores(offsets: np.ndarray, scores: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Plot the scores along the six axes, on one scale."""
    figure, axes = new_figure(width, PLOT_HEIGHT, len(AXES))
    low, high = np.min(scores), np.max(scores)
    margin = 0.05 * max(high - low, 1e-9)
    for idx, (axis, label) in enumerate(zip(axes, AXES)):
        for curve, name, style in zip(scores, ('guess', 'result'), STYLES):
            axis.plot(offsets[idx], curve[idx], label=name, **style)
        axis.axvline(0, color='0.6', linewidth=1, zorder=0)
        axis.set_ylim(low - margin, high + margin)
        axis.set_xlabel(f'{label} [{"deg" if idx < 3 else "m"}]', fontsize=12)
        axis.tick_params(labelsize=10, labelleft=not idx)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel('score around the pose', fontsize=12)
    axes[0].legend(fontsize=10, loc='upper left')
    return render(figure)
