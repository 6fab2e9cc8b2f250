"""Interpolation of the features of sparse voxels."""
from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional as F


def interpolate(feats: Tensor, indices: Tensor, positions: Tensor) -> Tensor:
    """Interpolate trilinearly among the cells that exist; their weights are scaled to sum to 1.

    Args:
        feats: (K, C) features of the cells.
        indices: (K, 4) integer ``batch, x, y, z`` indices of the cells, each cell once.
        positions: (M, 4) ``batch, x, y, z`` in cells; an integer is the centre of a cell.

    Returns:
        (M, C); 0 where none of the eight cells around a position exists.

    Example:
        >>> cells = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0]])
        >>> interpolate(torch.tensor([[2.], [4.]]), cells, torch.tensor([[0, 0.75, 0, 0]]))
        tensor([[3.5000]])
    """
    batch, floor = positions[:, :1].long(), positions[:, 1:].floor()
    fraction, floor = positions[:, 1:] - floor, floor.long()
    indices = indices.long()
    # One number for each cell, in a box that holds all corners.
    low = torch.minimum(indices[:, 1:].amin(0), floor.amin(0))
    size = torch.maximum(indices[:, 1:].amax(0), floor.amax(0) + 1) - low + 1

    def number(batch: Tensor, cell: Tensor) -> Tensor:
        x, y, z = (cell - low).unbind(1)
        return ((batch[:, 0] * size[0] + x) * size[1] + y) * size[2] + z

    known, row = number(indices[:, :1], indices[:, 1:]).sort()
    rows, weights = [], []
    for corner in itertools.product((0, 1), repeat=3):
        corner = floor.new_tensor(corner)
        key = number(batch, floor + corner)
        idx = torch.searchsorted(known, key).clamp(max=len(known) - 1)
        weight = torch.where(corner.bool(), fraction, 1 - fraction).prod(1)
        rows.append(row[idx])
        weights.append(weight * (known[idx] == key))
    weight = torch.stack(weights, 1)
    weight = weight / weight.sum(1, keepdim=True).clamp(min=1e-6)
    # A bag is a weighted sum of rows that never holds the (M, 8, C) rows themselves.
    return F.embedding_bag(
        torch.stack(rows, 1), feats, mode='sum', per_sample_weights=weight.to(feats.dtype))
