"""Ground-truth overlap and point-to-cell correspondences of a calibrated view.

Ragged batches are packed: M is the number of all (view, point) pairs, and ``view_index`` names
the view of each.
"""
from __future__ import annotations

from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .camera import map_size


def pixel_overlap(pixels: Tensor,
                  visible: Tensor,
                  view_index: Tensor,
                  num_views: int,
                  height: int,
                  width: int,
                  stride: int,
                  dilate: int = 1) -> Tensor:
    """Which cells of the image's feature map the scan covers (labels of Eq. 3).

    A cell counts when a visible point falls into it or within ``dilate`` cells of it: the rings
    of a LiDAR are farther apart than the cells of a fine map.

    Args:
        pixels: (M, 2), projected points.
        visible: (M,) bool, points in view.
        view_index: (M,) integers in [0, num_views).
        num_views: V.
        height: Image height, pixels.
        width: Image width, pixels.
        stride: Pixels per cell.
        dilate: Cells by which a hit spreads in each direction.

    Returns:
        Tensor: (V, h, w) bool.
    """
    rows, columns = map_size(height, width, stride)
    cell, _ = nearest_cell(pixels[visible], height, width, stride)
    hit = torch.zeros(num_views, rows * columns, device=pixels.device)
    hit[view_index[visible], cell] = 1
    hit = hit.view(num_views, 1, rows, columns)
    return F.max_pool2d(hit, 2 * dilate + 1, stride=1, padding=dilate)[:, 0] > 0


def nearest_cell(pixels: Tensor, height: int, width: int, stride: int) -> Tuple[Tensor, Tensor]:
    """The cell of a feature map whose centre is nearest to a pixel.

    Args:
        pixels: (..., 2); pixels outside the image get a cell on its border.
        height: Image height, pixels.
        width: Image width, pixels.
        stride: Pixels per cell.

    Returns:
        tuple: the row-major index of the cell (...), int64, and the distance from the pixel to
        that cell's centre (...), pixels.
    """
    rows, columns = map_size(height, width, stride)
    last = torch.tensor([columns - 1, rows - 1], dtype=pixels.dtype, device=pixels.device)
    position = ((pixels.detach() + 0.5) / stride).floor().clamp(min=0).minimum(last)
    centre = (position + 0.5) * stride - 0.5
    column, row = position.long().unbind(-1)
    return row * columns + column, (pixels - centre).norm(dim=-1)
