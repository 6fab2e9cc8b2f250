"""Matches within the patches of superpixels, refined below the size of a cell."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

from nclr_plugin.geometry.camera import CellGrid
from .matching_head import Matches

MASKED_SIMILARITY = -1e4  # finite, so that a fully masked row has a softmax


def patch_mask(superpixel: Tensor, coarse: CellGrid, fine: CellGrid, margin: int) -> Tensor:
    """Select the cells of the fine map in or near a superpixel.

    Args:
        superpixel: (...) row-major indices of cells of the coarse map.
        coarse: Grid of the superpixels.
        fine: Grid of the fine map, of the same image.
        margin: Fine cells by which a patch is larger on each side.

    Returns:
        (..., H' W') bool.
    """
    device = superpixel.device
    coarse_centres, fine_centres = (
        grid.centres(torch.float32, device).view(-1, 2) for grid in (coarse, fine))
    radius = coarse.stride / 2 + margin * fine.stride
    offset = (coarse_centres[:, None] - fine_centres).abs().amax(-1)
    return (offset < radius)[superpixel]


def refine_matches(similarity: Tensor, pixel_mask: Tensor, grid: CellGrid, temperature: float,
                   radius: int = 1) -> Tuple[Matches, Tensor]:
    """Find the most similar cell in the mask, refined to the mean of the cells around it.

    The mean is weighted by the softmax of the similarities, so it is differentiable and moves the
    match by fractions of a cell. Unlike a mean over a whole patch, it does not fall between two
    similar places.

    Args:
        similarity: (V, K, H' W').
        pixel_mask: (V, K, H' W') bool.
        grid: Grid of the map.
        temperature: Temperature of the softmax.
        radius: Cells to each side that the mean is taken over; 0 is the hard match.

    Returns:
        Matches in input-image pixels, and their validity (V, K) bool, False for an empty mask.
    """
    centres = grid.centres(similarity.dtype, similarity.device)
    rows, columns = grid.shape
    masked = similarity.masked_fill(~pixel_mask, MASKED_SIMILARITY)
    best, index = masked.max(-1)
    step = torch.arange(-radius, radius + 1, device=index.device)
    row = torch.div(index, columns, rounding_mode='floor')[..., None, None] + step[:, None]
    column = (index % columns)[..., None, None] + step
    row, column = (side.flatten(-2) for side in torch.broadcast_tensors(row, column))
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    cell = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
    near = masked.gather(-1, cell).masked_fill(~inside, MASKED_SIMILARITY)
    weights = torch.softmax(near.float() / temperature, -1).to(centres)
    pixels = (weights[..., None] * centres.view(-1, 2)[cell]).sum(-2)
    return Matches(pixels, best), pixel_mask.any(-1)
