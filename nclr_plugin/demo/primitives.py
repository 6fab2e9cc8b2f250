"""Solids of the demo scenes, and their surfaces."""
from __future__ import annotations

import copy
import enum
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Sequence

import numpy as np

CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


class Shape(enum.IntEnum):
    """Solids within the cube ``[-1, 1]^3`` of their unit frame.

    BOX fills the cube. FRUSTUM is the cube with the top face inset at the front, the back and the
    sides. CYLINDER has its axis along z. ELLIPSOID is the unit ball.
    """
    BOX = 0
    FRUSTUM = 1
    CYLINDER = 2
    ELLIPSOID = 3


class Pattern(enum.IntEnum):
    """Colour patterns of a surface."""
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


class Label(enum.IntEnum):
    """Raw SemanticKITTI labels."""
    CAR = 10
    BICYCLE = 11
    BUS = 13
    TRUCK = 18
    PERSON = 30
    BICYCLIST = 31
    ROAD = 40
    PARKING = 44
    SIDEWALK = 48
    BUILDING = 50
    FENCE = 51
    OTHER_STRUCTURE = 52
    LANE_MARKING = 60
    VEGETATION = 70
    TRUNK = 71
    TERRAIN = 72
    POLE = 80
    TRAFFIC_SIGN = 81
    OTHER_OBJECT = 99


# Labels of road users in motion.
MOVING = {Label.CAR: 252, Label.BICYCLIST: 253, Label.PERSON: 254, Label.BUS: 257, Label.TRUCK: 258}


class Material(NamedTuple):
    """Material of a surface.

    Attributes:
        color: sRGB colour in 0..1.
        semantic: Label of its points.
        pattern: Pattern of the colour.
        accent: Second sRGB colour, for example of window glass, joints or the border of a sign.
        infrared: Laser reflectance, relative to the square root of the luminance of the colour.
        params: Parameters of the pattern, metres. Facades: storey height, window spacing, window
            width, window height; fences: spacing of the slats.
    """
    color: tuple[float, float, float]
    semantic: Label
    pattern: Pattern = Pattern.PLAIN
    accent: tuple[float, float, float] = (0.1, 0.1, 0.1)
    infrared: float = 1.0
    params: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Part:
    """One solid of a scene.

    Attributes:
        shape: Shape of the solid.
        center: Centre, metres.
        half: Half extents along its own axes, metres.
        material: Material of the surface.
        rotation: (3, 3) rotation from its own axes to the frame of ``center``.
        inset: Inset of a frustum's top face at front (+x), back (-x) and both sides, as a share
            of the half extents; 1 at the sides makes a ridge.
        instance: Instance id of the road user; 0 for none.
    """
    shape: Shape
    center: tuple[float, float, float]
    half: tuple[float, float, float]
    material: Material
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))
    inset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    instance: int = 0

    def corners(self) -> np.ndarray:
        """Return the (8, 3) corners of the bounding box."""
        return np.asarray(self.center) + (CORNERS * self.half) @ self.rotation.T


def yaw_matrix(yaw: float) -> np.ndarray:
    """Return the (3, 3) rotation by ``yaw`` radians about z."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def place(parts: Sequence[Part], position: Sequence[float], yaw: float,
          instance: int = 0) -> list[Part]:
    """Transform parts from the frame of an object to the world frame.

    Args:
        parts: Parts in the frame of the object, x forward, ground at z = 0.
        position: (3,) position of the object in the world, metres.
        yaw: Heading of the object, radians.
        instance: Instance id to give to the parts.

    Returns:
        The parts in the world frame.
    """
    turn = yaw_matrix(yaw)
    return [
        replace(part, center=tuple(turn @ np.asarray(part.center) + np.asarray(position)),
                rotation=turn @ part.rotation, instance=instance) for part in parts
    ]


class Surface(NamedTuple):
    """Surface of the solids at N points.

    Attributes:
        index: (N,) indices of the primitives.
        point: (N, 3) positions in the world, metres.
        normal: (N, 3) outward unit normals in the world.
        local: (N, 3) positions along the primitive's own axes from its centre, metres.
        axis: (N,) 2 on level faces, else the primitive's horizontal axis (0 or 1) nearest to the
            normal.
    """
    index: np.ndarray
    point: np.ndarray
    normal: np.ndarray
    local: np.ndarray
    axis: np.ndarray


class Primitives:
    """Arrays of the P solids of a scene.

    Args:
        parts: The solids in the world frame.

    Attributes:
        shape: (P,) values of :class:`Shape`.
        center: (P, 3) centres, metres.
        half: (P, 3) half extents, metres.
        inset: (P, 3) insets of frustums.
        world2unit: (P, 3, 3) transforms of directions from the world to the unit frame.
        corners: (P, 8, 3) corners of the bounding boxes.
        color: (P, 3) main colours, linear RGB.
        accent: (P, 3) second colours, linear RGB.
        infrared: (P,) laser reflectances.
        params: (P, 4) parameters of the patterns.
        pattern: (P,) values of :class:`Pattern`.
        semantic: (P,) values of :class:`Label`.
        instance: (P,) instance ids, 0 for none.
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
        """Return the primitives that an index or a mask selects."""
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
        """Compute normals and local coordinates of points on primitives.

        Args:
            index: (N,) indices of the primitives.
            point: (N, 3) positions in the world, on the surfaces.

        Returns:
            The surface at the points.
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
        """Return outward normals (N, 3) of any length at surface points, in the unit frame."""
        gradient = unit.copy()  # already normal to the ball
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


def frustum_planes(inset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes of the six faces of frustums in their unit frames.

    Args:
        inset: (N, 3) front, back and side insets of the top face.

    Returns:
        Outward normals (N, 6, 3) and offsets (N, 6) of front, back, left, right, top and bottom;
        a point x is inside where ``normal . x <= offset``.
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
