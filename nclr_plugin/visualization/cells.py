"""Feature maps over the image they were made from."""
from __future__ import annotations

from typing import Tuple

import numpy as np


def enlarge_cells(cells: np.ndarray, height: int, width: int, rows: int,
                  columns: int) -> np.ndarray:
    """The cell under each pixel of an enlarged image.

    Args:
        cells: (H', W', ...), a strided map of an image.
        height: Of that image, pixels.
        width: Of that image, pixels.
        rows: Of the enlarged image.
        columns: Of the enlarged image.

    Returns:
        (rows, columns, ...).
    """
    stride = map_stride(cells.shape[:2], height, width)
    row = ((np.arange(rows) + 0.5) * height / rows / stride).astype(int)
    column = ((np.arange(columns) + 0.5) * width / columns / stride).astype(int)
    return cells[row[:, None], column]


def map_stride(shape: Tuple[int, int], height: int, width: int) -> int:
    """Pixels per cell of a map of ``ceil(size / stride)`` cells."""
    return max(-(-height // shape[0]), -(-width // shape[1]))
