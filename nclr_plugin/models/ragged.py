"""Rows of several groups in one tensor, and the same rows padded to one length per group."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Padding(NamedTuple):
    """Where each of M rows goes in a (G, L) grid of G groups.

    Attributes:
        group: (M,) group of each row.
        slot: (M,) place of each row within its group.
        mask: (G, L) bool, True where the grid holds a row.
    """
    group: Tensor
    slot: Tensor
    mask: Tensor

    def pad(self, rows: Tensor, value: float = 0) -> Tensor:
        """(M, ...) -> (G, L, ...)."""
        grid = rows.new_full(self.mask.shape + rows.shape[1:], value)
        return grid.index_put((self.group, self.slot), rows)

    def unpad(self, grid: Tensor) -> Tensor:
        """(G, L, ...) -> (M, ...), rows in their original order."""
        return grid[self.group, self.slot]


def padding_of(group: Tensor, num_groups: int) -> Padding:
    """The padding of rows whose groups are ``group`` (M,), in any order.

    Rows keep their order within a group; sparse down-sampling on the CPU does not return them
    grouped by scan.
    """
    counts = torch.bincount(group, minlength=num_groups)
    first = torch.cumsum(counts, 0) - counts
    order = torch.argsort(group, stable=True)
    slot = torch.empty_like(group)
    slot[order] = torch.arange(len(group), device=group.device) - first[group[order]]
    length = max(int(counts.max()), 1)
    mask = torch.arange(length, device=group.device) < counts[:, None]
    return Padding(group, slot, mask)


def slots_by_position(padding: Padding, points: Tensor) -> Tensor:
    """The slots of each group in the order of their rows' positions.

    What is chosen by it does not depend on the order of the rows, which spconv makes anew in every
    run on a GPU.

    Args:
        padding: Of M rows in G groups.
        points: (M, D) positions of the rows, ordered by their first coordinate, then the second...

    Returns:
        Tensor: (G, L) int64; the slots that hold a row come first.
    """
    order = torch.arange(len(points), device=points.device)
    for key in (*points.unbind(1)[::-1], padding.group):
        order = order[torch.argsort(key[order], stable=True)]
    ordered = padding_of(padding.group[order], len(padding.mask))
    return ordered.pad(padding.slot[order])


class ViewPoints(NamedTuple):
    """The voxels that each view may see: those of its scan, padded to one length.

    Attributes:
        voxel: (V, L) rows of the voxels (0 where there is none).
        mask: (V, L) bool.
    """
    voxel: Tensor
    mask: Tensor


def voxels_of_views(voxel_batch_index: Tensor, view_batch_index: Tensor,
                    batch_size: int) -> ViewPoints:
    """Voxels grouped by scan (their scans: (N,)) and the scans of V views -> rows per view."""
    counts = torch.bincount(voxel_batch_index, minlength=batch_size)
    first = torch.cumsum(counts, 0) - counts
    slot = torch.arange(int(counts.max()), device=counts.device)
    mask = slot < counts[view_batch_index][:, None]
    return ViewPoints(torch.where(mask, first[view_batch_index][:, None] + slot, 0), mask)
