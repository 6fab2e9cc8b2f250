"""Voxels of a batch of scans, as mmdet3d's MinkUNet has them, and interpolation among voxels."""
from __future__ import annotations

import itertools
from typing import NamedTuple, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...geometry.scan_centre import scan_centre
from ...utils.devices import constant


class VoxelBatch(NamedTuple):
    """Voxels of B scans, grouped by scan.

    Attributes:
        feats: (M, C), mean of the points' values in each voxel (x, y, z, intensity, ...), with
            x, y, z relative to ``centre``.
        coors: (M, 4) int32, ``batch, x, y, z`` indices; each scan's smallest index is 0.
        points: (M, 3), metres, LiDAR frame: the centroid of the points in the voxel.
        centre: (B, 3), metres: about where the sensor is, see
            :func:`~nclr_plugin.geometry.scan_centre.scan_centre`.
        origin: (B, 3), metres: centre of the voxel with index (0, 0, 0) of each scan.
        voxel_size: (3,), metres.
        point2voxel: (sum of N_b,), the row of ``feats`` in which each input point lies.
        counts: Number of voxels of each scan, known without waiting for a GPU.
    """
    feats: Tensor
    coors: Tensor
    points: Tensor
    centre: Tensor
    origin: Tensor
    voxel_size: Tensor
    point2voxel: Tensor
    counts: tuple[int, ...]

    @property
    def batch_index(self) -> Tensor:
        """(M,) int64: the scan of each voxel."""
        return self.coors[:, 0].long()

    @property
    def relative_points(self) -> Tensor:
        """(M, 3), metres: ``points`` relative to the centre of their scan."""
        return self.feats[:, :3]

    def take(self, rows: Tensor, counts: tuple[int, ...]) -> VoxelBatch:
        """Return some voxels, without the input points.

        Args:
            rows: Sorted rows.
            counts: Number of them in each scan.
        """
        feats, coors, points = (
            value.index_select(0, rows) for value in (self.feats, self.coors, self.points))
        return self._replace(feats=feats, coors=coors, points=points, counts=counts,
                             point2voxel=rows.new_zeros(0))

    def subset(self, size: int, at_random: bool) -> tuple[Tensor, tuple[int, ...]]:
        """Choose at most ``size`` voxels of each scan, at random or evenly spaced.

        Returns:
            Their sorted rows, and their number in each scan.
        """
        kept = tuple(min(count, size) for count in self.counts)
        rows, first, device = [], 0, self.feats.device
        for count, number in zip(self.counts, kept):
            if at_random and number < count:
                chosen = torch.randperm(count, device=device)[:number].sort()[0]
            else:
                chosen = torch.div(torch.arange(number, device=device) * count, max(number, 1),
                                   rounding_mode='floor')
            rows.append(first + chosen)
            first += count
        return torch.cat(rows), kept

    def limit(self, size: int) -> VoxelBatch:
        """Keep at most ``size`` random voxels of each scan, in the order of their positions.

        Points of dropped voxels have -1 in ``point2voxel``.
        """
        if max(self.counts) <= size:
            return self
        rows, counts = self.subset(size, at_random=True)
        row = rows.new_full((len(self.feats), ), -1)
        row[rows] = torch.arange(len(rows), device=rows.device)
        return self.take(rows, counts)._replace(point2voxel=row[self.point2voxel])

    def centres(self, coors: Tensor, stride: int) -> Tensor:
        """(K, 3), metres, relative to the centre of their scan: centres of coarser voxels.

        Args:
            coors: (K, 4) ``batch, x, y, z`` indices in a grid ``stride`` times coarser.
            stride: 1 for the voxels themselves.
        """
        fine = coors[:, 1:] * stride + (stride - 1) / 2
        return fine * self.voxel_size + (self.origin - self.centre)[coors[:, 0].long()]


@torch.no_grad()
def voxelize(points: Sequence[Tensor], voxel_size: Sequence[float],
             centres: Sequence[Tensor] | None = None) -> VoxelBatch:
    """Quantise scans by rounding, as mmdet3d's ``voxel_type='minkunet'`` does.

    The networks get coordinates relative to the centre of the scan, which is the sensor's position
    to within some decimetres. So their input does not depend on the origin of a random rigid
    transform, which only the pose solver needs, and is what a downstream network gets.
    The value of a voxel is the mean of its points, where mmdet3d takes one of them: apart from
    rounding, the result does not depend on the order of the points, and the centroid lies on the
    surface, so its projection is a fair target for matching.

    Args:
        points: B scans (N_b, C >= 3), metres, LiDAR frame.
        voxel_size: Edge lengths (x, y, z), metres.
        centres: B centres (3,) of scans of which these points are a sample; ``None``: find them.
    """
    packed = torch.cat(list(points))
    centre = torch.stack([scan_centre(scan) for scan in points] if centres is None else
                         list(centres)).to(packed)
    batch = torch.cat([torch.full((len(scan), ), number, device=scan.device)
                       for number, scan in enumerate(points)])
    size = constant(tuple(voxel_size), packed.dtype, packed.device)

    index = torch.round(packed[:, :3] / size).long()
    lowest = index.new_zeros(len(points), 3).scatter_reduce_(
        0, batch[:, None].expand(-1, 3), index, 'amin', include_self=False)
    index = index - lowest[batch]

    extent = index.amax(0) + 1
    key = ((batch * extent[0] + index[:, 0]) * extent[1] + index[:, 1]) * extent[2] + index[:, 2]
    key, point2voxel, num_points = unique(key)
    feats = packed.new_zeros(len(key), packed.shape[1]).index_add_(0, point2voxel, packed)
    feats = feats / num_points[:, None]

    coors = index.new_empty(len(key), 4)
    coors[point2voxel] = torch.cat((batch[:, None], index), 1)  # the same for all its points
    coors = coors.int()

    in_scan = coors[:, 0] == torch.arange(len(points), device=coors.device)[:, None]
    counts = tuple(in_scan.sum(1).tolist())
    points = feats[:, :3].clone()
    feats[:, :3] -= centre[coors[:, 0].long()]
    return VoxelBatch(feats, coors, points, centre, lowest * size, size, point2voxel, counts)


def containing_rows(coors: Tensor, coarse: Tensor, stride: int) -> Tensor:
    """Find the coarse voxel in which each voxel lies.

    Args:
        coors: (M, 4) ``batch, x, y, z`` indices.
        coarse: (K, 4) indices of a grid ``stride`` times coarser.
        stride: Stride of the coarse grid.

    Returns:
        (M,) rows of ``coarse``; for a voxel that down-sampling has dropped, as some
        encoders do at the edge, the next one, mostly of its column.
    """
    extent = coarse.amax(0).long() + 1
    inside = coors.long()
    inside = torch.cat((inside[:, :1], torch.div(inside[:, 1:], stride, rounding_mode='floor')), 1)
    weight = torch.stack((extent[1] * extent[2] * extent[3], extent[2] * extent[3], extent[3],
                          torch.ones_like(extent[0])))
    key, order = torch.sort((coarse.long() * weight).sum(1))
    idx = torch.searchsorted(key, (inside * weight).sum(1))
    return order[idx.clamp(max=len(order) - 1)]


def take_rows(values: Tensor, rows: Tensor | None) -> Tensor:
    """Return some rows of values; all if ``rows`` is None."""
    return values if rows is None else values.index_select(0, rows)


def unique(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``torch.unique`` of integers with the inverse and counts, faster, by one sort."""
    ordered, order = torch.sort(values)
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    inverse = torch.empty_like(order).scatter_(0, order, starts.cumsum(0) - 1)
    first = starts.nonzero()[:, 0]
    counts = torch.diff(first, append=first.new_full((1, ), len(values)))
    return ordered[first], inverse, counts


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
        corner = constant(corner, torch.int64, floor.device)
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
