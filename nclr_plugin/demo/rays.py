"""Ray casting with grids of rays: pinhole camera, spinning LiDAR and sunlight.

Each grid bounds the rays that can hit a box. It transforms rays to the frame of a primitive in few
operations per ray, because their directions are sums or products of a row and a column vector.
"""
from __future__ import annotations

import abc
from itertools import combinations
from typing import Iterator, NamedTuple, Sequence, Tuple

import numpy as np

from .primitives import Primitives, Shape, frustum_planes

NEAR = 0.05  # near plane of a camera, metres
TINY = np.float32(1e-12)  # keeps the division finite for a ray parallel to a face
Window = Tuple[slice, slice]
Components = Sequence[np.ndarray]
_EDGES = np.array([(a, b) for a, b in combinations(range(8), 2) if bin(a ^ b).count('1') == 1])
_PAIRS = np.array(list(combinations(range(8), 2)))


class Visit(NamedTuple):
    """A primitive to test: its index, a lower bound of t at its hits, and the window of rays."""
    primitive: int
    near: float
    window: Window


class RayGrid(abc.ABC):
    """Grid of H x W rays ``origin + t * direction`` with t > 0.

    Attributes:
        shape: Size of the grid (H, W).
    """
    shape: tuple[int, int]

    @abc.abstractmethod
    def _bounds(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bound the rays that can hit boxes.

        Args:
            corners: (P, 8, 3) corners of the boxes, world.

        Returns:
            (P, 4) half-open row and column ranges: top, bottom, left, right; and (P,) lower bounds
            of t.
        """

    @abc.abstractmethod
    def local(self, world2unit: np.ndarray, center: np.ndarray,
              window: Window) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return rays in a primitive's unit frame.

        Args:
            world2unit: (3, 3) rotation and scale from the world to the unit frame.
            center: (3,) centre of the primitive, world.
            window: Rows and columns of the rays.

        Returns:
            The three components of the origins and of the directions, float32, each broadcastable
            to the window.
        """

    @abc.abstractmethod
    def points(self, distance: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return world positions (N, 3) float64 at parameters t (N,) of the rays (rows, cols)."""

    def windows(self, corners: np.ndarray) -> Iterator[Visit]:
        """Iterate over the primitives that the rays may hit, from near to far.

        Args:
            corners: (P, 8, 3) corners of the primitives' bounding boxes, world.

        Yields:
            Index of the primitive, lower bound of t, and window of the rays.
        """
        ranges, near = self._bounds(corners)
        visible = (ranges[:, 0] < ranges[:, 1]) & (ranges[:, 2] < ranges[:, 3])
        for p in np.flatnonzero(visible)[np.argsort(near[visible], kind='stable')]:
            top, bottom, left, right = ranges[p]
            for columns in self._columns(left, right):
                yield Visit(p, near[p], (slice(top, bottom), columns))

    def _columns(self, left: int, right: int) -> list[slice]:
        return [slice(left, right)]


class CameraRays(RayGrid):
    """Rays of a pinhole camera, one through each pixel centre; t is the depth.

    Args:
        width: Image width W, pixels.
        height: Image height H, pixels.
        cam2img: (3, 3) intrinsics; integer pixels are pixel centres.
        cam2world: (4, 4) pose, camera x right, y down, z forward.
    """
    def __init__(self, width: int, height: int, cam2img: np.ndarray, cam2world: np.ndarray) -> None:
        self.shape = (height, width)
        self.cam2img = np.asarray(cam2img, np.float64)
        self.rotation, self.position = cam2world[:3, :3], cam2world[:3, 3]
        self.x = ((np.arange(width) - cam2img[0, 2]) / cam2img[0, 0]).astype(np.float32)
        self.y = ((np.arange(height) - cam2img[1, 2]) / cam2img[1, 1]).astype(np.float32)

    def _bounds(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = (corners - self.position) @ self.rotation
        start, end = points[:, _EDGES[:, 0]], points[:, _EDGES[:, 1]]
        with np.errstate(divide='ignore', invalid='ignore'):
            share = (NEAR - start[..., 2:]) / (end[..., 2:] - start[..., 2:])
            crossing = start + share * (end - start)
        cut = (start[..., 2] < NEAR) != (end[..., 2] < NEAR)
        usable = np.concatenate([points[..., 2] >= NEAR, cut], 1)
        points = np.where(usable[..., None], np.concatenate([points, crossing], 1), 1.0)
        pixels = points[..., :2] / points[..., 2:] * self.cam2img[[0, 1], [0, 1]]
        pixels += self.cam2img[:2, 2]
        low = np.where(usable[..., None], pixels, np.inf).min(1)
        high = np.where(usable[..., None], pixels, -np.inf).max(1)
        height, width = self.shape
        ranges = np.stack([
            np.clip(np.ceil(low[:, 1]), 0, height),
            np.clip(np.floor(high[:, 1]) + 1, 0, height),
            np.clip(np.ceil(low[:, 0]), 0, width),
            np.clip(np.floor(high[:, 0]) + 1, 0, width)
        ], 1)
        return ranges.astype(int), np.where(usable, points[..., 2], np.inf).min(1)

    def local(self, world2unit, center, window):
        """See :meth:`RayGrid.local`."""
        origin = (world2unit @ (self.position - center)).astype(np.float32)
        turn = (world2unit @ self.rotation).astype(np.float32)
        x, y = self.x[None, window[1]], self.y[window[0], None]
        return list(origin), [a * x + (b * y + c) for a, b, c in turn]

    def directions(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return world directions (N, 3) of the rays (rows, cols), scaled to unit depth."""
        ray = np.stack([self.x[cols], self.y[rows], np.ones(len(rows), np.float32)], 1)
        return ray @ self.rotation.T

    def points(self, distance, rows, cols):
        """See :meth:`RayGrid.points`."""
        return self.position + distance[:, None] * self.directions(rows, cols)


class LidarRays(RayGrid):
    """Rays of a spinning LiDAR: beams x azimuth steps, clockwise; t is the range in metres.

    Args:
        elevations: (H,) beam elevations in descending order, radians.
        azimuths: Number W of azimuth steps per turn.
        start: Azimuth of column 0, radians.
        lidar2world: (4, 4) pose.
    """
    def __init__(self, elevations: np.ndarray, azimuths: int, start: float,
                 lidar2world: np.ndarray) -> None:
        self.shape = (len(elevations), azimuths)
        self.rotation, self.position = lidar2world[:3, :3], lidar2world[:3, 3]
        self.elevations, self.start, self.step = elevations, start, 2 * np.pi / azimuths
        azimuth = start - np.arange(azimuths) * self.step
        self.cos, self.sin = np.cos(azimuth), np.sin(azimuth)
        self.level, self.rise = np.cos(elevations), np.sin(elevations)

    def _bounds(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        points = (corners - self.position) @ self.rotation
        flat = points[..., :2]
        middle = np.arctan2(*flat.mean(1).T[::-1])
        azimuth = np.arctan2(flat[..., 1], flat[..., 0])
        turn = (azimuth - middle[:, None] + np.pi) % (2 * np.pi) - np.pi
        around = np.ptp(turn, 1) >= np.pi  # the box is above or below the sensor
        nearest = np.where(around, 0.0,
                           _segment_distance(flat[:, _PAIRS[:, 0]], flat[:, _PAIRS[:, 1]]).min(1))
        farthest = np.linalg.norm(flat, axis=2).max(1)
        bottom, top = points[..., 2].min(1), points[..., 2].max(1)
        highest = np.arctan2(top, np.where(top > 0, nearest, farthest))
        lowest = np.arctan2(bottom, np.where(bottom > 0, farthest, nearest))
        first = (self.start - middle - turn.max(1)) / self.step
        last = (self.start - middle - turn.min(1)) / self.step
        first = np.where(around, 0, np.ceil(first - 1e-6))
        last = np.where(around, self.shape[1], np.floor(last + 1e-6) + 1)
        descending = -self.elevations
        ranges = np.stack([
            np.searchsorted(descending, -highest - 1e-6),
            np.searchsorted(descending, -lowest + 1e-6, side='right'), first, last
        ], 1)
        vertical = np.maximum(np.maximum(bottom, -top), 0.0)
        return ranges.astype(int), np.hypot(nearest, vertical)

    def _columns(self, left: int, right: int) -> list[slice]:
        width = self.shape[1]
        left, right = left % width, left % width + right - left
        if right <= width:
            return [slice(left, right)]
        return [slice(left, width), slice(0, right - width)]

    def local(self, world2unit, center, window):
        """See :meth:`RayGrid.local`."""
        origin = (world2unit @ (self.position - center)).astype(np.float32)
        turn = world2unit @ self.rotation
        flat = turn[:, :1] * self.cos[window[1]] + turn[:, 1:2] * self.sin[window[1]]
        rise = turn[:, 2:] * self.rise[window[0]]
        flat, rise = flat.astype(np.float32), rise.astype(np.float32)
        level = self.level[window[0], None].astype(np.float32)
        return list(origin), [level * flat[k] + rise[k, :, None] for k in range(3)]

    def directions(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Return unit directions (N, 3) of the rays (rows, cols) in the LiDAR frame."""
        level = self.level[rows]
        return np.stack([level * self.cos[cols], level * self.sin[cols], self.rise[rows]], 1)

    def points(self, distance, rows, cols):
        """See :meth:`RayGrid.points`."""
        return self.position + distance[:, None] * self.directions(rows, cols) @ self.rotation.T


class SunRays(RayGrid):
    """Parallel rays of sunlight on a square, for a shadow map; t is the distance in metres.

    Args:
        center: (3,) centre of the square, world.
        to_sun: (3,) unit direction to the sun.
        extent: Half the side of the square, metres.
        cells: Number of rays along a side.
    """
    BACK = 150.0  # distance from the centre to the start of the rays, metres

    def __init__(self, center: np.ndarray, to_sun: np.ndarray, extent: float, cells: int) -> None:
        self.shape = (cells, cells)
        self.direction = -np.asarray(to_sun, np.float64)
        right = np.cross(self.direction, [0.0, 0.0, 1.0])
        self.right = right / np.linalg.norm(right)
        self.up = np.cross(self.right, self.direction)
        self.position = np.asarray(center) - self.BACK * self.direction
        self.offsets = ((np.arange(cells) + 0.5) / cells * 2 - 1) * extent
        self.extent, self.cell = extent, 2 * extent / cells

    def coordinates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return fractional (row, column) (..., 2) and t (...) of world points (..., 3)."""
        offset = points - self.position
        plane = np.stack([offset @ self.up, offset @ self.right], -1)
        return (plane + self.extent) / self.cell - 0.5, offset @ self.direction

    def _bounds(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cells, depth = self.coordinates(corners)
        low = np.clip(np.ceil(cells.min(1)), 0, self.shape[0])
        high = np.clip(np.floor(cells.max(1)) + 1, 0, self.shape[0])
        ranges = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], 1)
        return ranges.astype(int), depth.min(1)

    def local(self, world2unit, center, window):
        """See :meth:`RayGrid.local`."""
        middle = (world2unit @ (self.position - center))
        rows = (world2unit @ self.up)[:, None] * self.offsets[window[0]]
        cols = (world2unit @ self.right)[:, None] * self.offsets[window[1]] + middle[:, None]
        rows, cols = rows.astype(np.float32), cols.astype(np.float32)
        origin = [rows[k, :, None] + cols[k] for k in range(3)]
        return origin, list((world2unit @ self.direction).astype(np.float32))

    def points(self, distance, rows, cols):
        """See :meth:`RayGrid.points`."""
        return (self.position + self.offsets[rows, None] * self.up +
                self.offsets[cols, None] * self.right + distance[:, None] * self.direction)


def cast(primitives: Primitives, rays: RayGrid) -> tuple[np.ndarray, np.ndarray]:
    """Find the first primitive that each ray hits.

    Primitives are tested from near to far, each only on the rays within the bounds of its box. A
    primitive is skipped if all these rays already have a nearer hit.

    Args:
        primitives: Solids of the scene.
        rays: Grid of H x W rays.

    Returns:
        (H, W) float32 parameters t of the hits at ``origin + t * direction``, ``inf`` for none, and
        (H, W) int32 indices of the primitives, -1 for none.
    """
    distance = np.full(rays.shape, np.inf, np.float32)
    index = np.full(rays.shape, -1, np.int32)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        for p, near, window in rays.windows(primitives.corners):
            nearest = distance[window]
            if near >= nearest.max():
                continue
            origin, direction = rays.local(primitives.world2unit[p], primitives.center[p], window)
            t, hit = _INTERSECT[primitives.shape[p]](origin, direction, primitives.inset[p])
            hit = hit & (t > 0) & (t < nearest)
            np.copyto(nearest, t, where=hit)
            np.copyto(index[window], np.int32(p), where=hit)
    return distance, index


def _segment_distance(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the distance (...) from the origin to segments between points (..., 2)."""
    along = end - start
    squared = np.maximum((along * along).sum(-1), 1e-12)
    share = np.clip(-(start * along).sum(-1) / squared, 0.0, 1.0)
    return np.linalg.norm(start + share[..., None] * along, axis=-1)


def _slab(origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the t at which rays enter and leave the slab from -1 to 1."""
    inverse = 1.0 / (direction + TINY)
    middle = -origin * inverse
    inverse = np.abs(inverse)
    return middle - inverse, middle + inverse


def _box(origin: Components, direction: Components,
         inset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    enter, leave = _slab(origin[0], direction[0])
    for axis in (1, 2):
        t0, t1 = _slab(origin[axis], direction[axis])
        enter, leave = np.maximum(enter, t0), np.minimum(leave, t1)
    return enter, enter <= leave


def _frustum(origin: Components, direction: Components,
             inset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    enter, leave = _slab(origin[2], direction[2])
    normals, offsets = frustum_planes(inset[None])
    for (x, y, z), offset in zip(normals[0, :4], offsets[0, :4]):
        x, y, z = np.float32(x), np.float32(y), np.float32(z)
        axis, sign = (0, x) if x else (1, y)
        approach = sign * direction[axis] + z * direction[2] + TINY
        t = (np.float32(offset) - sign * origin[axis] - z * origin[2]) / approach
        enter = np.where(approach < 0, np.maximum(enter, t), enter)
        leave = np.where(approach > 0, np.minimum(leave, t), leave)
    return enter, enter <= leave


def _cylinder(origin: Components, direction: Components,
              inset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    squared = dx * dx + dy * dy + TINY
    cross = ox * dy - oy * dx  # stays accurate far away, where b^2 - a c cancels
    root = squared - cross * cross
    reach = np.sqrt(np.maximum(root, 0)) / squared
    middle = -(ox * dx + oy * dy) / squared
    enter, leave = _slab(oz, dz)
    enter, leave = np.maximum(enter, middle - reach), np.minimum(leave, middle + reach)
    return enter, (root >= 0) & (enter <= leave)


def _ellipsoid(origin: Components, direction: Components,
               inset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (ox, oy, oz), (dx, dy, dz) = origin, direction
    squared = dx * dx + dy * dy + dz * dz
    cross = ((oy * dz - oz * dy)**2 + (oz * dx - ox * dz)**2 + (ox * dy - oy * dx)**2)
    root = squared - cross
    middle = -(ox * dx + oy * dy + oz * dz) / squared
    return middle - np.sqrt(np.maximum(root, 0)) / squared, root >= 0


_INTERSECT = {
    Shape.BOX: _box,
    Shape.FRUSTUM: _frustum,
    Shape.CYLINDER: _cylinder,
    Shape.ELLIPSOID: _ellipsoid,
}
