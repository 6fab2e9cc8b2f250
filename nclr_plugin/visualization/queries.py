"""Points worth looking at: in front of something farther away, spread over the image."""
from __future__ import annotations

import numpy as np

from ..utils.optional import optional_import
from .points import MAX_DEPTH

CELL = 1 / 96  # of the image's width: the grid on which depths are compared


def choose_queries(pixels: np.ndarray, depth: np.ndarray, width: int, height: int,
                   count: int) -> np.ndarray:
    """In each of ``count`` vertical stripes the point that stands out most from its background.

    That is the point with the largest ratio between the farthest depth around it and its own, of
    those that nothing nearer covers: points on the outlines of cars, poles and trunks.

    Args:
        pixels: (N, 2), points in view.
        depth: (N,) metres.
        width: Of the image, pixels.
        height: Of the image, pixels.
        count: Stripes.

    Returns:
        Rows of ``pixels``, one for each stripe in which there are points, from left to right.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Pictures')
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
