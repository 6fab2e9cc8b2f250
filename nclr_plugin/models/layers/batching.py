"""Batches of scans of different sizes: dense batches, voxels by view, bounded subsets."""
from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple, Sequence

import torch
from torch import Tensor

from ...utils.devices import to_device

GOLDEN_RATIO = 0.6180339887498949


class DenseBatch(NamedTuple):
    """Positions of M rows in a dense (G, L) batch of G groups.

    Attributes:
        group: (M,) group of each row.
        slot: (M,) position of each row within its group.
        mask: (G, L) bool, True where the grid holds a row.
    """
    group: Tensor
    slot: Tensor
    mask: Tensor

    def to_dense(self, rows: Tensor, value: float = 0) -> Tensor:
        """Pad rows (M, ...) to (G, L, ...)."""
        grid = rows.new_full(self.mask.shape + rows.shape[1:], value)
        return grid.index_put((self.group, self.slot), rows)

    def from_dense(self, grid: Tensor) -> Tensor:
        """Return the rows (M, ...) of (G, L, ...) in their original order."""
        return grid[self.group, self.slot]


def dense_batch(group: Tensor, num_groups: int, length: int | None = None) -> DenseBatch:
    """Find the positions of rows in a dense batch.

    Rows keep their order within a group. They need not be sorted by group: sparse down-sampling on
    the CPU does not return voxels grouped by scan.

    Args:
        group: (M,) group of each row.
        num_groups: G.
        length: L; ``None``: the size of the largest group. With several groups, the CPU waits for
            the GPU to know it.
    """
    counts = (group == torch.arange(num_groups, device=group.device)[:, None]).sum(1)
    first = torch.cumsum(counts, 0) - counts
    order = torch.argsort(group, stable=True)
    slot = torch.empty_like(group)
    slot[order] = torch.arange(len(group), device=group.device) - first[group[order]]
    if length is None:
        length = len(group) if num_groups == 1 else int(counts.max())
        length = max(length, 1)
    mask = torch.arange(length, device=group.device) < counts[:, None]
    return DenseBatch(group, slot, mask)


def slots_by_position(batch: DenseBatch, points: Tensor) -> Tensor:
    """Order the slots of each group by the positions of their rows.

    A choice in this order does not depend on the order of the rows, which differs between runs of
    spconv on a GPU.

    Args:
        batch: Positions of M rows in G groups.
        points: (M, D) positions, ordered by their first coordinate, then the second, ...

    Returns:
        (G, L) int64; the slots that hold a row come first.
    """
    order = torch.arange(len(points), device=points.device)
    for key in (*points.unbind(1)[::-1], batch.group):
        order = order[torch.argsort(key[order], stable=True)]
    ordered = dense_batch(batch.group[order], *batch.mask.shape)
    return ordered.to_dense(batch.slot[order])


class ViewVoxels(NamedTuple):
    """Voxels of the scan of each view, padded to one length L.

    Attributes:
        idx: (V, L) indices of the voxels (0 where there is none).
        mask: (V, L) bool.
    """
    idx: Tensor
    mask: Tensor

    def take(self, slots: Tensor) -> Tensor:
        """Return the voxel indices (V, K) of some slots (V, K)."""
        return self.idx.gather(1, slots)


def group_voxels_by_view(counts: Sequence[int], view_batch_index: Tensor) -> ViewVoxels:
    """List the voxels of the scan of each view.

    Args:
        counts: Voxels of each scan, consecutive rows.
        view_batch_index: (V,) scan of each view.
    """
    table = to_device(torch.tensor([list(counts), [0, *accumulate(counts)][:-1]]),
                      view_batch_index.device)
    number, first = table[:, view_batch_index]
    slot = torch.arange(max(counts), device=number.device)
    mask = slot < number[:, None]
    return ViewVoxels(torch.where(mask, first[:, None] + slot, 0), mask)


def random_subset(mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Sample columns of each row of a mask at random, without replacement.

    Args:
        mask: (V, L) bool, the columns to sample from.
        size: Number of columns to sample of each row.

    Returns:
        Columns (V, K), K = min(size, L), and their validity (V, K) bool, False where a row has
        fewer.
    """
    return _largest(torch.rand(mask.shape, device=mask.device), mask, size)


def evenly_spaced_subset(mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Select columns spread over each row of a mask, always the same ones.

    Args:
        mask: (V, L) bool, the columns to select from.
        size: Largest number of columns to select of each row.

    Returns:
        Columns and validity, see :func:`random_subset`, with K no larger than the fullest row needs
        (at least 1), for which the CPU waits for the GPU.
    """
    size = max(min(size, int(mask.sum(1).max())), 1)
    order = torch.arange(mask.shape[1], device=mask.device, dtype=torch.float64)
    return _largest((order * GOLDEN_RATIO % 1).expand(mask.shape), mask, size)


def _largest(keys: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
    values, columns = keys.masked_fill(~mask, -1).topk(min(size, mask.shape[1]), 1)
    return columns, values >= 0


def gather_columns(matrix: Tensor, idx: Tensor) -> Tensor:
    """Return some columns of a matrix as rows: (V, K, L) and (V, J) -> (V, J, K)."""
    return matrix.take_along_dim(idx[:, None], 2).transpose(1, 2)
