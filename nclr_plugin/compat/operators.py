"""Operators of mmcv in plain torch: overlap of rotated boxes, voxelisation."""
from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 1 << 16  # pairs of boxes at a time
BLOCK = 64  # boxes of a suppression at a time
NO_AREA = 1e-14  # area below which boxes overlap nothing
BITS = 20  # of an index of a voxel along an axis


def intersection(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return the area of the intersection of two boxes.

    In the frame of the first box, the outline of the second is clamped to the first box. The area
    inside the clamped outline is that of the intersection, because clamped parts enclose no area.
    Clamping bends edges only at the lines of the first box's sides, so each edge is split there.

    Args:
        boxes1: (P, 5) centre x, y, width, height, angle in radians from x to y.
        boxes2: (P, 5).

    Returns:
        (P, ).
    """
    half = boxes1[:, None, 2:4].abs() / 2
    angle = boxes1[:, 4:]
    cos, sin = angle.cos(), angle.sin()
    offset = corners(boxes2) - boxes1[:, None, :2]
    start = torch.stack([offset[..., 0] * cos + offset[..., 1] * sin,
                         offset[..., 1] * cos - offset[..., 0] * sin], -1)
    edge = start.roll(-1, 1) - start
    crossing = torch.cat([(half - start) / edge, (-half - start) / edge], -1)
    crossing = crossing.nan_to_num(0).clamp(0, 1).sort(-1).values
    along = torch.cat([torch.zeros_like(crossing[..., :1]), crossing], -1)[..., None]
    outline = (start[..., None, :] + along * edge[..., None, :]).flatten(1, 2)
    outline = torch.minimum(torch.maximum(outline, -half), half)
    following = outline.roll(-1, 1)
    cross = outline[..., 0] * following[..., 1] - outline[..., 1] * following[..., 0]
    return cross.sum(1).abs() / 2


def corners(boxes: Tensor) -> Tensor:
    """Return the four corners of boxes (P, 5), in order: (P, 4, 2)."""
    signs = boxes.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    x, y = (signs * boxes[:, None, 2:4]).unbind(-1)
    cos, sin = boxes[:, 4:].cos(), boxes[:, 4:].sin()
    return boxes[:, None, :2] + torch.stack([x * cos - y * sin, x * sin + y * cos], -1)


@torch.no_grad()
def overlap(boxes1: Tensor, boxes2: Tensor, over_first: bool = False) -> Tensor:
    """Return the intersection over union of pairs of boxes.

    Args:
        boxes1: (P, 5) centre x, y, width, height, angle in radians.
        boxes2: (P, 5).
        over_first: Divide by the area of the first box instead.

    Returns:
        (P, ) in 0..1, of the type of ``boxes1``; 0 for boxes without area.
    """
    result = boxes1.new_zeros(len(boxes1))
    for rows in _may_meet(boxes1, boxes2).nonzero().squeeze(1).split(CHUNK):
        one, two = boxes1[rows].double(), boxes2[rows].double()
        area, other = one[:, 2] * one[:, 3], two[:, 2] * two[:, 3]
        shared = intersection(one, two)
        base = area if over_first else area + other - shared
        result[rows] = torch.where((area < NO_AREA) | (other < NO_AREA),
                                   torch.zeros_like(shared), shared / base).to(result.dtype)
    return result


def _may_meet(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Return whether the circles around boxes (..., 5) meet."""
    reach = (boxes1[..., 2:4].norm(dim=-1) + boxes2[..., 2:4].norm(dim=-1)) / 2
    return (boxes1[..., :2] - boxes2[..., :2]).norm(dim=-1) <= reach


@torch.no_grad()
def keep_best(boxes: Tensor, threshold: float, labels: Tensor | None = None) -> Tensor:
    """Apply non-maximum suppression to rotated boxes.

    Args:
        boxes: (N, 5), by descending score.
        threshold: Smallest overlap that removes a box.
        labels: (N,) labels; boxes of different labels do not remove each other.

    Returns:
        (K,) int64, indices of the remaining boxes.
    """
    alive = torch.ones(len(boxes), dtype=torch.bool)
    for begin in range(0, len(boxes), BLOCK):
        row = begin + alive[begin:begin + BLOCK].nonzero().squeeze(1)
        other = begin + alive[begin:].nonzero().squeeze(1)
        meet = row[:, None] < other
        if threshold > 0:  # otherwise disjoint boxes remove each other, too
            meet &= _may_meet(boxes[row, None], boxes[None, other])
        if labels is not None:
            meet &= labels[row, None] == labels[other]
        first, second = meet.nonzero(as_tuple=True)
        removes = overlap(boxes[row[first]], boxes[other[second]]) >= threshold
        first, second = row[first[removes]], other[second[removes]]
        for mine, count in zip(*first.unique_consecutive(return_counts=True)):
            victims, second = second[:count], second[count:]
            if alive[mine]:
                alive[victims] = False
    return alive.nonzero().squeeze(1)


def voxel_of_points(points: Tensor, voxel_size: Tensor, coors_range: Tensor) -> Tensor:
    """Return the voxel of each point.

    Args:
        points: (N, D), metres.
        voxel_size: (D, ).
        coors_range: (2 * D,), the lower limits, then the upper ones.

    Returns:
        (N, D) int32, last axis first, e.g. (z, y, x); -1 for points outside the range or with NaN.
    """
    low, high = coors_range.chunk(2)
    grid = ((high - low) / voxel_size + 0.5).floor()
    coors = ((points - low) / voxel_size).floor()
    inside = ((coors >= 0) & (coors < grid)).all(1, keepdim=True)
    return torch.where(inside, coors, torch.full_like(coors, -1)).flip(1).int()


def first_points(coors: Tensor, max_points: int, max_voxels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Assign points to voxels.

    Voxels are numbered in the order of their first points. Each takes its first ``max_points``
    points; only the first ``max_voxels`` voxels are filled.

    Args:
        coors: (N, D) voxel of each point, D <= 3, at most a million along an axis; negative
            outside.
        max_points: Largest number of points per voxel.
        max_voxels: Largest number of voxels.

    Returns:
        Three tensors (K,) int64: index of the point, of its voxel, and of its slot there.
    """
    point = (coors[:, 0] >= 0).nonzero().squeeze(1)
    # One number a voxel: unique rows take several times as long.
    key = (coors[point].long() << BITS * torch.arange(coors.shape[1])).sum(1)
    occupied, voxel = key.unique(return_inverse=True)
    first = torch.full((len(occupied), ), len(point)).scatter_reduce(
        0, voxel, torch.arange(len(point)), 'amin')
    voxel = first.argsort().argsort()[voxel]
    by_voxel = voxel.argsort(stable=True)
    point, voxel = point[by_voxel], voxel[by_voxel]
    count = voxel.bincount(minlength=len(occupied))
    slot = torch.arange(len(point)) - (count.cumsum(0) - count)[voxel]
    kept = (voxel < max_voxels) & (slot < max_points)
    return point[kept], voxel[kept], slot[kept]
