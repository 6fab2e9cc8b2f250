"""Voxelisation in plain torch, by the rules of mmcv's compiled operators."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor


def voxel_of_points(points: Tensor, voxel_size: Tensor, coors_range: Tensor) -> Tensor:
    """Return the voxel that each point lies in.

    Args:
        points: (N, D), metres.
        voxel_size: (D, ).
        coors_range: (2 * D, ), the lower limits and then the upper ones.

    Returns:
        (N, D) int32, last axis of space first, such as (z, y, x). A point out of the range, or
        with a coordinate that is not a number, has -1 in all of them.
    """
    low, high = coors_range.chunk(2)
    grid = ((high - low) / voxel_size + 0.5).floor()
    coors = ((points - low) / voxel_size).floor()
    inside = ((coors >= 0) & (coors < grid)).all(1, keepdim=True)
    return torch.where(inside, coors, torch.full_like(coors, -1)).flip(1).int()


def first_points(coors: Tensor, max_points: int, max_voxels: int) -> Tuple[Tensor, Tensor, Tensor]:
    """Return which points go into which voxels.

    Voxels are numbered by their first point; each takes its first ``max_points`` points, and the
    first ``max_voxels`` voxels are filled.

    Args:
        coors: (N, D) voxel of each point, negative outside.
        max_points: Points in a voxel at most.
        max_voxels: Voxels at most.

    Returns:
        Three (K, ) of int64: the point, its voxel, and its place there.
    """
    point = (coors[:, 0] >= 0).nonzero().squeeze(1)
    occupied, voxel = coors[point].unique(dim=0, return_inverse=True)
    first = torch.full((len(occupied), ), len(point)).scatter_reduce(
        0, voxel, torch.arange(len(point)), 'amin')
    voxel = first.argsort().argsort()[voxel]
    by_voxel = voxel.argsort(stable=True)
    point, voxel = point[by_voxel], voxel[by_voxel]
    count = voxel.bincount(minlength=len(occupied))
    place = torch.arange(len(point)) - (count.cumsum(0) - count)[voxel]
    kept = (voxel < max_voxels) & (place < max_points)
    return point[kept], voxel[kept], place[kept]
