"""The ray caster: nearest surface along every ray of a sensor."""
from __future__ import annotations

from typing import Sequence, Tuple

import numpy as np

from .primitives import Primitives, Shape, frustum_planes
from .rays import RayGrid

TINY = np.float32(1e-12)  # keeps the division of a ray parallel to a face finite
Components = Sequence[np.ndarray]


def cast(primitives: Primitives, rays: RayGrid) -> Tuple[np.ndarray, np.ndarray]:
    """Find the first primitive on every ray.

    Primitives are visited from near to far, each only on the rays inside the bounds of its box,
    and not at all where everything seen so far is nearer.

    Args:
        primitives: The scene.
        rays: The sensor's grid of H x W rays.

    Returns:
        distance: (H, W) float32 ray parameter t of the hit, ``inf`` where there is none. The hit is
        at origin + t * direction.
        index: (H, W) int32 primitive hit, -1 where none.
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


def _slab(origin: np.ndarray, direction: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave the layer between -1 and 1."""
    inverse = 1.0 / (direction + TINY)
    middle = -origin * inverse
    inverse = np.abs(inverse)
    return middle - inverse, middle + inverse


def _box(origin: Components, direction: Components,
         inset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    enter, leave = _slab(origin[0], direction[0])
    for axis in (1, 2):
        t0, t1 = _slab(origin[axis], direction[axis])
        enter, leave = np.maximum(enter, t0), np.minimum(leave, t1)
    return enter, enter <= leave


def _frustum(origin: Components, direction: Components,
             inset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
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
              inset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
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
               inset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
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
