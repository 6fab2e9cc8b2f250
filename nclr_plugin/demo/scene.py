"""A driving scene: the style of its town, the road, road users and the ego vehicle."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from .primitives import Primitives

HEADINGS = ('road', 'free')
Range = Tuple[float, float]


@dataclass(frozen=True)
class Town:
    """Style shared by the scenes of one town.

    Attributes:
        wall_hues: (K,) hues of the facades.
        saturation: Typical saturation of the facades.
        roof_hue: Hue of pitched roofs.
        leaf_hue: Hue of the leaves.
        storeys: Typical number of storeys.
        lots: (5,) probabilities of a row house, detached house, park, parking lot and bare lot.
        lane: Lane width, metres.
        parked: Share of occupied parking spaces.
        trees: Mean spacing of street trees, metres.
        sun: Elevation of the sun, radians.
    """
    wall_hues: np.ndarray
    saturation: float
    roof_hue: float
    leaf_hue: float
    storeys: float
    lots: np.ndarray
    lane: float
    parked: float
    trees: float
    sun: float

    @classmethod
    def build(cls, rng: np.random.Generator) -> 'Town':
        """Sample a town."""
        return cls(wall_hues=rng.uniform(0, 1, 5), saturation=rng.uniform(0.12, 0.42),
                   roof_hue=rng.choice([0.02, 0.06, 0.6]), leaf_hue=rng.uniform(0.2, 0.36),
                   storeys=rng.uniform(2.0, 4.0), lots=rng.dirichlet([5, 4, 2, 2, 1.5]),
                   lane=rng.uniform(3.0, 3.7), parked=rng.uniform(0.35, 0.75),
                   trees=rng.uniform(9, 18), sun=np.deg2rad(rng.uniform(25, 60)))


@dataclass(frozen=True)
class Road:
    """The road along x and its markings.

    Attributes:
        half: Half the width between the kerbs, metres.
        lanes: y coordinates of the lines between lanes, metres.
        parking: Width of the parking strip at each kerb, metres.
        crossings: x ranges of the crossing streets, metres.
    """
    half: float
    lanes: Sequence[float]
    parking: float
    crossings: Sequence[Range]


@dataclass(frozen=True)
class Object:
    """A labelled road user.

    Attributes:
        instance: Instance id within the scene, from 1.
        label: Raw SemanticKITTI label, never that of a moving class.
        center: (3,) centre of the box in the world frame, metres.
        size: (3,) length, width, height, metres.
        yaw: Heading in the world frame, radians.
        velocity: (2,) velocity in the world frame, m/s; zero for a static object.
    """
    instance: int
    label: int
    center: np.ndarray
    size: np.ndarray
    yaw: float
    velocity: np.ndarray

    @property
    def moving(self) -> bool:
        """Return whether the object moves."""
        return bool(np.any(self.velocity))


@dataclass(frozen=True)
class Scene:
    """A scene: solids, road users, light and the ego vehicle.

    World frame: x along the street, z up, road surface at z = 0.

    Attributes:
        primitives: All solids.
        objects: Road users.
        road: The road.
        ego2world: (4, 4) pose of the ego vehicle on the ground, x forward.
        to_sun: (3,) unit direction to the sun.
        seed: Seed of the textures.
    """
    primitives: Primitives
    objects: list[Object]
    road: Road
    ego2world: np.ndarray
    to_sun: np.ndarray
    seed: int
