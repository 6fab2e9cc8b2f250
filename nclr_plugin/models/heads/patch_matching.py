"""From coarse matches to pixels: patches around superpixels, and refinement below a cell."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from nclr_plugin.geometry.camera import cell_centres
from .matching_head import Matches

NOWHERE = -1e4  # similarity of a cell that is not permitted


def patch_cells(superpixel: Tensor, height: int, width: int, coarse_stride: int,
                fine_stride: int, margin: int) -> Tensor:
    """Cells of the fine map in a superpixel or near it.

    Args:
        superpixel: (...) row-major indices of cells of the coarse map.
        height, width: Of the image, pixels.
        coarse_stride, fine_stride: Pixels per cell.
        margin: Fine cells by which a patch is larger on each side.

    Returns:
        Tensor: (..., H' W') bool.
    """
    device = superpixel.device
    coarse = cell_centres(height, width, coarse_stride, torch.float32, device).view(-1, 2)
    fine = cell_centres(height, width, fine_stride, torch.float32, device).view(-1, 2)
    reach = coarse_stride / 2 + margin * fine_stride
    offset = (coarse[:, None] - fine).abs().amax(-1)
    return (offset < reach)[superpixel]


def refine_matches(similarity: Tensor, permitted: Tensor, height: int, width: int, stride: int,
                   temperature: float, reach: int = 1) -> Tuple[Matches, Tensor]:
    """The most similar permitted cell, refined to the mean of the cells around it.

    The mean is weighted by the softmax of the similarities, so it is differentiable, and moves the
    match by fractions of a cell; unlike a mean over a whole patch it does not fall between two
    similar places.

    Args:
        similarity: (V, K, H' W').
        permitted: (V, K, H' W') bool.
        height, width: Of the image, pixels.
        stride: Pixels per cell.
        temperature: Of the softmax.
        reach: Cells to each side that take part; 0 is the hard match.

    Returns:
        tuple: matches in input-image pixels, and (V, K) bool, False where no cell is permitted.
    """
    grid = cell_centres(height, width, stride, similarity.dtype, similarity.device)
    rows, columns = grid.shape[:2]
    masked = similarity.masked_fill(~permitted, NOWHERE)
    best, index = masked.max(-1)
    step = torch.arange(-reach, reach + 1, device=index.device)
    row = torch.div(index, columns, rounding_mode='floor')[..., None, None] + step[:, None]
    column = (index % columns)[..., None, None] + step
    row, column = (side.flatten(-2) for side in torch.broadcast_tensors(row, column))
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    cell = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    near = masked.gather(-1, cell).masked_fill(~inside, NOWHERE)
    weights = torch.softmax(near.float() / temperature, -1).to(grid)
    pixels = (weights[..., None] * grid.view(-1, 2)[cell]).sum(-2)
    return Matches(pixels, best), permitted.any(-1)
