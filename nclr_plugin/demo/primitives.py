"""Solids that a demo scene is built of, and the surface where a ray meets one."""
from __future__ import annotations

import copy
import enum
from dataclasses import dataclass, field, replace
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


class Shape(enum.IntEnum):
    """Solids, each within the cube ``[-1, 1]^3`` of its own unit frame.

    BOX fills the cube; FRUSTUM is the cube with its top face drawn in at the front, the back and
    the sides; CYLINDER stands along z; ELLIPSOID is the unit ball.
    """
    BOX = 0
    FRUSTUM = 1
    CYLINDER = 2
    ELLIPSOID = 3


class Pattern(enum.IntEnum):
    """How the colour of a material varies over its surface."""
    PLAIN = 0
    ROAD = 1
    PAVING = 2
    GRASS = 3
    FACADE = 4
    ROOF = 5
    FOLIAGE = 6
    CABIN = 7
    BARK = 8
    FENCE = 9
    SIGN = 10


class Material(NamedTuple):
    """What a surface is made of.

    Attributes:
        color: sRGB colour in 0..1.
        semantic: Raw SemanticKITTI label.
        pattern: How the colour varies.
        accent: Second sRGB colour of the pattern (window glass, joints, sign border).
        infrared: Reflectance to the laser, relative to the luminance of the colour.
        params: Numbers of the pattern, in metres: for facades storey height, window spacing,
            window width, window height; for fences the spacing of the slats.
    """
    color: Tuple[float, float, float]
    semantic: int
    pattern: Pattern = Pattern.PLAIN
    accent: Tuple[float, float, float] = (0.1, 0.1, 0.1)
    infrared: float = 1.0
    params: Tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Part:
    """One solid of a scene.

    Attributes:
        shape: Which solid.
        center: Its centre, metres.
        half: Half extents along its own axes, metres.
        material: What it is made of.
        rotation: (3, 3) from its own axes to the frame of ``center``.
        inset: FRUSTUM only: how far the top face is drawn in at front (+x), back (-x) and both
            sides, as a share of the half extents (1 at the sides makes a ridge).
        instance: Identity of the object it belongs to; 0 for none.
    """
    shape: Shape
    center: Tuple[float, float, float]
    half: Tuple[float, float, float]
    material: Material
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    inset: Tuple[float, float, float] = (0.0, 0.0, 0.0)
    instance: int = 0

    def corners(self) -> np.ndarray:
        """Return the (8, 3) corners of its box."""
        return np.asarray(self.center) + (CORNERS * self.half) @ self.rotation.T


def yaw_matrix(yaw: float) -> np.ndarray:
    """Return the (3, 3) rotation by ``yaw`` radians about z."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def place(parts: Sequence[Part],
          position: Sequence[float],
          yaw: float,
          instance: int = 0) -> List[Part]:
    """Move parts from an object's own frame into the world.

    Args:
        parts: Parts in the frame of the object, x forward, ground at z = 0.
        position: (3,) origin of the object in the world, metres.
        yaw: Heading of the object, radians.
        instance: Identity that the parts get.

    Returns:
        Parts in the world.
    """
    turn = yaw_matrix(yaw)
    return [
        replace(part,
                center=tuple(turn @ np.asarray(part.center) + np.asarray(position)),
                rotation=turn @ part.rotation,
                instance=instance) for part in parts
    ]


class Surface(NamedTuple):
    """Where N rays met the solids.

    Attributes:
        index: (N,) which primitive.
        point: (N, 3) world position, metres.
        normal: (N, 3) outward unit normal, world.
        local: (N, 3) position along the primitive's own axes from its centre, metres.
        axis: (N,) 2 on level faces, else the own horizontal axis (0, 1) nearest to the normal.
    """
    index: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    local: np.ndarray
    axis: np.ndarray


class Primitives:
    """All solids of a scene as arrays; row p is primitive p.

    Args:
        parts: The solids, in the world.

    Attributes:
        shape: (P,) :class:`Shape`.
        center: (P, 3); half: (P, 3); inset: (P, 3).
        world2unit: (P, 3, 3) from world directions to the unit frame.
        corners: (P, 8, 3) corners of the boxes around the solids.
        color, accent: (P, 3) linear RGB. infrared: (P,). params: (P, 4).
        pattern, semantic, instance: (P,).
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.shape = np.array([part.shape for part in parts])
        self.center = np.array([part.center for part in parts], np.float64)
        self.half = np.array([part.half for part in parts], np.float64)
        self.inset = np.array([part.inset for part in parts], np.float64)
        rotation = np.array([part.rotation for part in parts], np.float64)
        self.world2unit = rotation.transpose(0, 2, 1) / self.half[:, :, None]
        self._world2unit = self.world2unit.astype(np.float32)
        self._half = self.half.astype(np.float32)
        self._planes = [values.astype(np.float32) for values in frustum_planes(self.inset)]
        self.corners = self.center[:, None] + np.einsum('pij,cj,pj->pci', rotation, CORNERS,
                                                        self.half)
        materials = [part.material for part in parts]
        self.color = np.array([material.color for material in materials], np.float32)**2.2
        self.accent = np.array([material.accent for material in materials], np.float32)**2.2
        self.infrared = np.array([material.infrared for material in materials], np.float32)
        self.params = np.array([material.params for material in materials], np.float32)
        self.pattern = np.array([material.pattern for material in materials])
        self.semantic = np.array([material.semantic for material in materials])
        self.instance = np.array([part.instance for part in parts])

    def take(self, rows: np.ndarray) -> 'Primitives':
        """Return only some primitives."""
        taken = copy.copy(self)
        for name, values in vars(self).items():
            if isinstance(values, list):
                setattr(taken, name, [value[rows] for value in values])
            else:
                setattr(taken, name, values[rows])
        return taken

    def __len__(self) -> int:
        return len(self.shape)

    def surface(self, index: np.ndarray, point: np.ndarray) -> Surface:
        """Describe the surface at points that lie on primitives.

        Args:
            index: (N,) primitive of each point.
            point: (N, 3) world positions on their surfaces.

        Returns:
            The surface there.
        """
        offset = (point - self.center[index]).astype(np.float32)
        world2unit, half = self._world2unit[index], self._half[index]
        unit = np.einsum('nij,nj->ni', world2unit, offset)
        gradient = self._unit_gradient(index, unit)
        normal = np.einsum('nij,ni->nj', world2unit, gradient)
        normal /= np.sqrt(np.einsum('ni,ni->n', normal, normal))[:, None]
        across = np.abs(gradient[:, :2] / half[:, :2])
        axis = np.where(across.any(1), across[:, 0] < across[:, 1], 2)
        return Surface(index, point, normal, unit * half, axis)

    def _unit_gradient(self, index: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Outward direction at points on the surface, unit frame, any length."""
        gradient = unit.copy()  # right for the ball
        shape = self.shape[index]
        rows = np.flatnonzero(shape == Shape.BOX)
        axis = np.abs(unit[rows]).argmax(1)
        gradient[rows] = 0.0
        gradient[rows, axis] = np.sign(unit[rows, axis])
        rows = np.flatnonzero(shape == Shape.CYLINDER)
        on_cap = np.abs(unit[rows, 2]) - 1.0 > np.hypot(unit[rows, 0], unit[rows, 1]) - 1.0
        gradient[rows, 2] = np.where(on_cap, unit[rows, 2], 0.0)
        gradient[rows[on_cap], :2] = 0.0
        rows = np.flatnonzero(shape == Shape.FRUSTUM)
        normals, offsets = self._planes[0][index[rows]], self._planes[1][index[rows]]
        excess = np.einsum('nkj,nj->nk', normals, unit[rows]) - offsets
        gradient[rows] = normals[np.arange(len(rows)), excess.argmax(1)]
        return gradient


def frustum_planes(inset: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Return the six faces of frustums in their unit frames.

    Args:
        inset: (N, 3) front, back and side insets of the top face.

    Returns:
        Outward normals (N, 6, 3) and offsets (N, 6): inside where ``normal . x <= offset``. The
        faces are front, back, left, right, top, bottom.
    """
    slope = np.stack([inset[:, 0], inset[:, 1], inset[:, 2], inset[:, 2]], 1) / 2.0
    normals = np.zeros((len(inset), 6, 3))
    normals[:, 0, 0], normals[:, 1, 0] = 1.0, -1.0
    normals[:, 2, 1], normals[:, 3, 1] = 1.0, -1.0
    normals[:, 4, 2], normals[:, 5, 2] = 1.0, -1.0
    normals[:, :4, 2] = slope
    offsets = np.ones((len(inset), 6))
    offsets[:, :4] -= slope
    return normals, offsets
