"""Boxes of objects, predicted beside true, from above and in the image."""
from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

from ..geometry.camera import project_points
from ..utils.optional import optional_import
from .birds_eye import draw_birds_eye, panel_coordinates
from .canvas import Colour, beside, fit, legend, scale_pixels, stack, titled
from .points import draw_depth, project_visible

BIRDS_EYE = 640  # pixels
IMAGE_WIDTH = 960
NEAR = 0.1  # distance at which edges of boxes are clipped, metres before the camera
GREY: Colour = (130, 130, 130)
# Corners of mmdet3d's boxes: 0 to 3 are one side (bottom, top, top, bottom), 4 to 7 the other.
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6),
         (3, 7))
BOTTOM = (0, 3, 7, 4)


class Boxes(NamedTuple):
    """Boxes of a scan.

    Attributes:
        corners: (M, 8, 3), LiDAR frame, metres, in the order of mmdet3d's boxes.
        labels: (M,) classes; other numbers mean no class.
    """
    corners: np.ndarray
    labels: np.ndarray


def draw_boxes_birds_eye(points: Tensor, predicted: Boxes, true: Boxes | None,
                         names: Sequence[str], palette: np.ndarray) -> np.ndarray:
    """Draw a scan from above with its boxes, predicted beside true.

    Args:
        points: (N, 3+), LiDAR frame, metres.
        predicted: Boxes.
        true: True boxes, or ``None`` if unknown.
        names: Names of the classes.
        palette: (C, 3) uint8 RGB.

    Returns:
        RGB picture, uint8.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Pictures')
    colours = np.full((len(points), 3), GREY, np.uint8)
    panel = draw_birds_eye(points, colours, None, None, 0, BIRDS_EYE)

    def draw(boxes: Boxes) -> np.ndarray:
        drawn = panel.copy()
        pixels = panel_coordinates(points, boxes.corners[:, BOTTOM, :2], BIRDS_EYE)
        for outline, label in zip(np.rint(pixels).astype(np.int32), boxes.labels):
            cv2.polylines(drawn, [outline], True, _colour(palette, label), 2, cv2.LINE_AA)
        return drawn

    return _compare(draw, predicted, true, names, palette)


def draw_boxes_image(image: np.ndarray, lidar2cam: Tensor, cam2img: Tensor, points: Tensor,
                     predicted: Boxes, true: Boxes | None, names: Sequence[str],
                     palette: np.ndarray) -> np.ndarray:
    """Draw the boxes into the image of a camera, over the points coloured by depth.

    Args:
        image: RGB, (H, W, 3) uint8.
        lidar2cam: (4, 4).
        cam2img: (3, 3).
        points, predicted, true, names, palette: See :func:`draw_boxes_birds_eye`.

    Returns:
        RGB picture, uint8.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Pictures')
    background, factor = fit(image, IMAGE_WIDTH)
    _, pixels, depth = project_visible(points, lidar2cam, cam2img, *image.shape[:2])
    background = draw_depth(background, scale_pixels(pixels, factor), depth, radius=1.)

    def draw(boxes: Boxes) -> np.ndarray:
        drawn = background.copy()
        for corners, label in zip(boxes.corners, boxes.labels):
            for line in _edges_in_view(corners, lidar2cam, cam2img):
                ends = np.rint(scale_pixels(line, factor)).clip(-2**15, 2**15).astype(int)
                cv2.line(drawn, tuple(ends[0].tolist()), tuple(ends[1].tolist()),
                         _colour(palette, label), 2, cv2.LINE_AA)
        return drawn

    return _compare(draw, predicted, true, names, palette)


def _edges_in_view(corners: np.ndarray, lidar2cam: Tensor, cam2img: Tensor) -> np.ndarray:
    """Return the pixels (E, 2, 2) of the edges of a box, clipped in front of the camera."""
    lidar2cam, cam2img = (t.detach().cpu().double() for t in (lidar2cam, cam2img))
    inside = corners @ lidar2cam[:3, :3].numpy().T + lidar2cam[:3, 3].numpy()
    ends = inside[np.array(EDGES)]  # (12, 2, 3)
    ends = ends[(ends[..., 2] > NEAR).any(axis=1)]
    for this, other in ((0, 1), (1, 0)):
        behind = ends[:, this, 2] < NEAR
        share = (NEAR - ends[behind, this, 2]) / (ends[behind, other, 2] - ends[behind, this, 2])
        ends[behind, this] += share[:, None] * (ends[behind, other] - ends[behind, this])
    pixels, _ = project_points(torch.from_numpy(ends.reshape(-1, 3)),
                               torch.eye(4, dtype=torch.float64), cam2img)
    return pixels.numpy().reshape(-1, 2, 2)


def _compare(draw, predicted: Boxes, true: Boxes | None, names: Sequence[str],
             palette: np.ndarray) -> np.ndarray:
    both = [('predicted', predicted)] + ([] if true is None else [('true', true)])
    panels = beside([titled(draw(boxes), f'{name}: {len(boxes.labels)}')
                     for name, boxes in both], 4)
    entries = [(_colour(palette, index), name) for index, name in enumerate(names)]
    return stack([panels, legend(entries, panels.shape[1])])


def _colour(palette: np.ndarray, label: int) -> tuple[int, int, int]:
    known = 0 <= label < len(palette)
    return tuple(int(part) for part in palette[label]) if known else GREY
