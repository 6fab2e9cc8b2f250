"""Layout of a driving scene: a street of a town, its lots, road users and the ego vehicle."""
from __future__ import annotations

from typing import Callable

import numpy as np

from . import objects, scenery
from .primitives import Label, Material, Part, Pattern, Primitives, Shape, place, yaw_matrix
from .scene import HEADINGS, Object, Range, Road, Scene, Town

REACH = 85.0  # length of the street in each direction, metres
DEPTH = 62.0  # reach of the traffic on crossing streets, metres
KERB = 0.14  # height of the kerb, metres


def build_scene(town: Town, rng: np.random.Generator, heading: str = 'road') -> Scene:
    """Build a random scene.

    Args:
        town: Town of the scene.
        rng: Random generator of the scene.
        heading: ``'road'``: the ego vehicle drives in the right lane along the street;
            ``'free'``: it stands anywhere on the road with any heading.

    Returns:
        The scene.

    Raises:
        ValueError: If ``heading`` is neither.
    """
    if heading not in HEADINGS:
        raise ValueError(f'heading: expected one of {HEADINGS}, found {heading!r}.')
    return _Builder(town, rng, heading).build()


class _Builder:
    """Builder of one scene."""
    def __init__(self, town: Town, rng: np.random.Generator, heading: str) -> None:
        self.town, self.rng = town, rng
        self.parts: list[Part] = []
        self.objects: list[Object] = []
        self.circles = np.empty((0, 3))  # x, y and radius of occupied circles
        self.road = self._draw_road()
        self.ego2world = self._draw_ego(heading)
        self._occupy(self.ego2world[None, :2, 3], 3.2 if heading == 'road' else 4.2)
        self.walk = rng.uniform(2.2, 4.5, 2)  # sidewalk widths: right, left

    def build(self) -> Scene:
        rng = self.rng
        self._add_ground()
        self._add_traffic()
        for side, walk in ((-1, self.walk[0]), (1, self.walk[1])):
            for block in self._blocks():
                self._add_kerbside(side, walk, block)
                self._add_lots(side, walk, block)
        self._add_crossing_furniture()
        self._close_ends()
        azimuth = rng.uniform(0, 2 * np.pi)
        sun = np.clip(self.town.sun + rng.uniform(-0.15, 0.15), 0.3, 1.3)
        to_sun = np.array(
            [np.cos(sun) * np.cos(azimuth),
             np.cos(sun) * np.sin(azimuth),
             np.sin(sun)])
        return Scene(Primitives(self.parts), self.objects, self.road, self.ego2world, to_sun,
                     int(rng.integers(2**31)))

    # -- road and ego vehicle -----------------------------------------------------------------

    def _draw_road(self) -> Road:
        rng, lane = self.rng, self.town.lane
        count = int(rng.choice([1, 1, 2]))  # lanes each way
        parking = float(rng.choice([0.0, 2.2]))
        half = count * lane + parking
        lanes = [k * lane for k in range(-count + 1, count)]
        crossings: list[Range] = []
        for low, high in ((-60, -18), (15, 60)):
            if rng.random() < 0.6:
                middle, width = rng.uniform(low, high), rng.uniform(6, 10)
                crossings.append((middle - width / 2, middle + width / 2))
        return Road(half, lanes, parking, crossings)

    def _draw_ego(self, heading: str) -> np.ndarray:
        rng, road = self.rng, self.road
        if heading == 'road':
            lane = rng.integers(len(road.lanes) // 2 + 1)
            y = -(lane + 0.5) * self.town.lane + rng.normal(0, 0.2)
            yaw = rng.normal(0, np.deg2rad(2))
        else:
            y = rng.uniform(-1, 1) * (road.half - road.parking - 1.2)
            yaw = rng.uniform(-np.pi, np.pi)
        pose = np.eye(4)
        pose[:3, :3] = yaw_matrix(yaw)
        pose[:3, 3] = rng.uniform(-6, 6), y, 0.0
        return pose

    def _blocks(self) -> list[Range]:
        edges = [-REACH, *[edge for crossing in self.road.crossings for edge in crossing], REACH]
        return list(zip(edges[::2], edges[1::2]))

    # -- free ground --------------------------------------------------------------------------

    def _free(self, spots: np.ndarray, radius: float) -> bool:
        """Return whether circles around ``spots`` (S, 2) overlap no occupied circle."""
        offset = spots[:, None] - self.circles[:, :2]
        return bool(((offset**2).sum(2) > (radius + self.circles[:, 2])**2).all())

    def _occupy(self, spots: np.ndarray, radius: float) -> None:
        circles = np.column_stack([spots, np.full(len(spots), radius)])
        self.circles = np.concatenate([self.circles, circles])

    def _stand(self, parts: list[Part], x: float, y: float, z: float, yaw: float,
               radius: float) -> None:
        """Add a piece of scenery unless its ground is occupied."""
        spot = np.array([[x, y]])
        if self._free(spot, radius):
            self._occupy(spot, radius)
            self.parts += place(parts, (x, y, z), yaw)

    def _put(self, label: int, x: float, y: float, z: float, yaw: float,
             speed: float = 0.0) -> None:
        """Add a road user unless its ground is occupied."""
        parts = objects.BUILDERS[label](self.rng)
        box = objects.bounding_box(parts)
        if box.size[2] > 2.5 and np.hypot(*(self.ego2world[:2, 3] - (x, y))) < 13.0:
            return  # a lorry beside the ego vehicle would hide everything else
        along = np.array([np.cos(yaw), np.sin(yaw)])
        reach, radius = max(box.size[0] - box.size[1], 0) / 2, box.size[1] / 2
        shares = np.linspace(-1, 1, 2 + int(reach / radius))[:, None]
        spots = np.array([x, y]) + shares * reach * along
        if not self._free(spots, radius):
            return
        self._occupy(spots, radius)
        instance = len(self.objects) + 1
        self.parts += place(parts, (x, y, z), yaw, instance)
        center = np.array([x, y, z]) + yaw_matrix(yaw) @ box.center
        self.objects.append(Object(instance, label, center, box.size, yaw, speed * along))

    def _along(self, low: float, high: float, gap: float) -> list[float]:
        """Return positions from ``low`` to ``high`` at random spacings around ``gap``."""
        positions, x = [], low + self.rng.uniform(0.2, 1.0) * gap
        while x < high:
            positions.append(x)
            x += gap * self.rng.uniform(0.5, 1.5)
        return positions

    # -- solids and road users ----------------------------------------------------------------

    def _add_ground(self) -> None:
        rng, far = self.rng, 400.0
        grey = rng.uniform(0.28, 0.45)
        asphalt = Material((grey, grey, grey * rng.uniform(0.95, 1.06)), Label.ROAD, Pattern.ROAD,
                           accent=(0.85, 0.85, 0.82), infrared=0.7)
        paving = Material(
            objects.hsv(rng.uniform(0.02, 0.12), rng.uniform(0.02, 0.3), rng.uniform(0.45, 0.7)),
            Label.SIDEWALK, Pattern.PAVING, params=(rng.uniform(0.4, 1.2), 1.0, 1.0, 1.0))
        grass = Material(objects.hsv(self.town.leaf_hue, 0.5, rng.uniform(0.35, 0.55)),
                         Label.TERRAIN, Pattern.GRASS, accent=(0.45, 0.38, 0.25), infrared=1.8)
        self._fill((-far, far), (-far, far), (-1.0, 0.0), asphalt)
        for side, walk in ((-1, self.walk[0]), (1, self.walk[1])):
            inner, outer = self.road.half, self.road.half + walk
            for low, high in self._blocks():
                low, high = (low if low > -REACH else -far), (high if high < REACH else far)
                self._fill((low, high), _sorted(side * inner, side * outer), (-0.5, KERB), paving)
                self._fill((low, high), _sorted(side * outer, side * far), (-0.5, KERB + 0.02),
                           grass)

    def _fill(self, x: Range, y: Range, z: Range, material: Material) -> None:
        low, high = np.array([x, y, z], np.float64).T
        self.parts.append(
            Part(Shape.BOX, tuple((low + high) / 2), tuple((high - low) / 2), material))

    def _add_traffic(self) -> None:
        rng, road, lane = self.rng, self.road, self.town.lane
        for y in np.arange(len(road.lanes) // 2 + 1) * lane + lane / 2:
            for side in (-1, 1):
                for x in self._along(-REACH, REACH, rng.uniform(16, 40)):
                    label = rng.choice([Label.CAR, Label.TRUCK, Label.BUS, Label.BICYCLIST],
                                       p=[0.74, 0.1, 0.06, 0.1])
                    self._put(int(label), x, side * y + rng.normal(0, 0.2), 0.0,
                              (0.0 if side < 0 else np.pi) + rng.normal(0, 0.03),
                              float(rng.uniform(3, 13)))
        for low, high in road.crossings:
            for sign in (-1, 1):
                x = (low + high) / 2 + sign * (high - low) / 4
                for y in self._along(road.half + 4, DEPTH, 22.0):
                    for side in (-1, 1):
                        if rng.random() < 0.5:
                            self._put(Label.CAR, x, side * y, 0.0, sign * np.pi / 2,
                                      float(rng.uniform(2, 9)))
            for x in (low - 1.5, high + 1.5):
                if rng.random() < 0.5:
                    self._put(Label.PERSON, x,
                              rng.uniform(-1, 1) * road.half, 0.0,
                              rng.choice([-1, 1]) * np.pi / 2, 1.2)

    def _add_kerbside(self, side: int, walk: float, block: Range) -> None:
        rng, town, half = self.rng, self.town, self.road.half
        low, high = block[0] + 2.0, block[1] - 2.0
        inward = -side * np.pi / 2
        if self.road.parking:
            for x in np.arange(low + 3.5, high - 3.5, rng.uniform(5.6, 6.4)):
                if rng.random() < town.parked:
                    label = Label.CAR if rng.random() < 0.94 else Label.TRUCK
                    self._put(label, x + rng.uniform(-0.3, 0.3),
                              side * (half - 1.15 + rng.uniform(-0.1, 0.1)), 0.0,
                              (0.0 if side < 0 else np.pi) + rng.normal(0, 0.02))
        furniture = half + 0.55
        for x in self._along(low, high, 24.0):
            self._stand(scenery.lamp(rng), x, side * furniture, KERB, inward, 0.3)
        for x in self._along(low, high, town.trees):
            if walk > 2.6 and rng.random() < 0.8:
                self._stand(scenery.tree(rng, self._leaf()), x, side * (furniture + 0.2), KERB,
                            rng.uniform(0, 6), 0.9)
        for x in self._along(low, high, 22.0):
            self._stand(scenery.traffic_sign(rng), x, side * furniture, KERB,
                        (np.pi if side < 0 else 0.0) + rng.normal(0, 0.1), 0.5)
        for x in self._along(low, high, 17.0):
            self._stand(scenery.furniture(rng), x, side * (half + walk - 0.7), KERB, inward, 1.2)
        for x in self._along(low, high, 11.0):
            self._put(Label.PERSON, x, side * (half + rng.uniform(1.0, walk - 0.4)), KERB,
                      rng.choice([0.0, np.pi]) + rng.normal(0, 0.2), float(rng.choice([0.0, 1.3])))
        for x in self._along(low, high, 30.0):
            self._put(Label.BICYCLE, x, side * (half + walk - 0.5), KERB, rng.normal(0, 0.3))

    def _add_lots(self, side: int, walk: float, block: Range) -> None:
        """Divide the land along a block into lots, and fill each."""
        rng = self.rng
        edge = self.road.half + walk
        x, end = block[0] + rng.uniform(0.5, 3.0), block[1] - 0.5
        makers: list[Callable] = [
            self._row_house, self._detached_house, self._park, self._parking_lot, self._bare_lot
        ]
        while x < end - 5.0:
            width = min(rng.uniform(8, 20), end - x)
            makers[rng.choice(len(makers), p=self.town.lots)](side, edge, x, x + width)
            x += width + rng.choice([0.0, rng.uniform(0.5, 5.0)])

    def _building(self, side: int, front: float, low: float, high: float, depth: float,
                  storeys: int) -> None:
        rng, town = self.rng, self.town
        wall = objects.hsv(
            rng.choice(town.wall_hues) + rng.normal(0, 0.03),
            town.saturation * rng.uniform(0.3, 1.6), rng.uniform(0.4, 0.9))
        roof = objects.hsv(town.roof_hue, rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.6))
        parts = scenery.building(rng, high - low, depth, storeys, wall, roof)
        yaw = 0.0 if side > 0 else np.pi
        self.parts += place(parts, ((low + high) / 2, side * front, KERB), yaw)

    def _storeys(self, share: float = 1.0) -> int:
        return int(np.clip(round(self.rng.normal(self.town.storeys * share, 1.2)), 1, 7))

    def _leaf(self) -> objects.Color:
        rng = self.rng
        return objects.hsv(self.town.leaf_hue + rng.normal(0, 0.04), rng.uniform(0.3, 0.65),
                           rng.uniform(0.3, 0.6))

    def _row_house(self, side: int, edge: float, low: float, high: float) -> None:
        setback = self.rng.choice([0.0, self.rng.uniform(0.3, 3.0)])
        self._building(side, edge + setback + 0.3, low, high, self.rng.uniform(8, 14),
                       self._storeys())

    def _detached_house(self, side: int, edge: float, low: float, high: float) -> None:
        rng = self.rng
        setback, margin = rng.uniform(3.0, 9.0), rng.uniform(0.04, 0.12) * (high - low)
        self._boundary(side, edge, low, high)
        self._building(side, edge + setback, low + margin, high - margin, rng.uniform(7, 11),
                       min(self._storeys(0.6), 3))
        for _ in range(rng.integers(0, 4)):
            x, y = rng.uniform(low, high), side * (edge + rng.uniform(1.0, setback - 1.2))
            maker = scenery.bush if rng.random() < 0.7 else scenery.tree
            self._stand(maker(rng, self._leaf()), x, y, KERB, 0.0, 1.0)

    def _park(self, side: int, edge: float, low: float, high: float) -> None:
        rng = self.rng
        if rng.random() < 0.5:
            self._boundary(side, edge, low, high)
        for _ in range(rng.integers(4, 10)):
            x, y = rng.uniform(low, high), side * (edge + rng.uniform(1.5, 22))
            maker = scenery.bush if rng.random() < 0.4 else scenery.tree
            self._stand(maker(rng, self._leaf()), x, y, KERB, rng.uniform(0, 6), 1.5)
        self._background(side, edge + rng.uniform(22, 32), low, high)

    def _parking_lot(self, side: int, edge: float, low: float, high: float) -> None:
        rng, depth = self.rng, self.rng.uniform(12, 20)
        surface = Material((0.42, 0.41, 0.4), Label.PARKING, Pattern.PAVING,
                           params=(2.5, 1.0, 1.0, 1.0))
        self._fill((low, high), _sorted(side * (edge + 0.3), side * (edge + depth)),
                   (-0.5, KERB + 0.04), surface)
        for y in (edge + 3.5, edge + depth - 3.0):
            for x in np.arange(low + 1.5, high - 1.2, 2.7):
                if rng.random() < self.town.parked:
                    self._put(Label.CAR, x, side * y, KERB + 0.04,
                              rng.choice([-1, 1]) * np.pi / 2 + rng.normal(0, 0.04))
        self._background(side, edge + depth + rng.uniform(1, 10), low, high)

    def _bare_lot(self, side: int, edge: float, low: float, high: float) -> None:
        """Add rubble and a low wall, in front of a building."""
        rng = self.rng
        soil = Material(objects.hsv(0.09, 0.35, rng.uniform(0.35, 0.6)), Label.TERRAIN,
                        Pattern.GRASS, accent=(0.5, 0.45, 0.35))
        for _ in range(rng.integers(1, 4)):
            x, y = rng.uniform(low, high), side * (edge + rng.uniform(5, 16))
            size = rng.uniform([1.5, 1.5, 0.6], [4.5, 4.0, 2.2])
            self.parts.append(Part(Shape.ELLIPSOID, (x, y, 0.1), tuple(size), soil))
        wall = Material(objects.hsv(rng.random(), 0.3, 0.6), Label.OTHER_STRUCTURE)
        x = rng.uniform(low + 1, high - 1)
        self._fill((x - 0.15, x + 0.15),
                   _sorted(side * (edge + 2), side * (edge + rng.uniform(6, 18))),
                   (0.0, rng.uniform(0.8, 2.5)), wall)
        self._background(side, edge + rng.uniform(16, 26), low, high)

    def _background(self, side: int, front: float, low: float, high: float) -> None:
        if self.rng.random() < 0.8:
            self._building(side, front, low, high, self.rng.uniform(8, 14), self._storeys(1.4))

    def _boundary(self, side: int, edge: float, low: float, high: float) -> None:
        """Add a hedge, wall or fence with a gate along the sidewalk."""
        rng, kind = self.rng, self.rng.integers(4)
        if kind == 3:
            return
        height = rng.uniform(0.7, 1.8)
        material = [
            Material(self._leaf(), Label.VEGETATION, Pattern.FOLIAGE, (0.05, 0.1, 0.03), 1.6),
            Material(objects.hsv(rng.random(), 0.25, 0.6), Label.FENCE, infrared=0.9),
            Material(objects.hsv(0.08, 0.45, rng.uniform(0.3, 0.7)), Label.FENCE, Pattern.FENCE,
                     params=(rng.uniform(0.12, 0.3), 1.0, 1.0, 1.0)),
        ][kind]
        thickness = (0.4, 0.12, 0.04)[kind]
        gate = rng.uniform(low + 1.0, high - 2.5)
        y = _sorted(side * (edge + 0.3), side * (edge + 0.3 + 2 * thickness))
        for start, stop in ((low, gate), (gate + 1.6, high)):
            if stop - start > 0.3:
                self._fill((start, stop), y, (0.0, height + KERB), material)

    def _add_crossing_furniture(self) -> None:
        rng, half = self.rng, self.road.half
        for low, high in self.road.crossings:
            signals = rng.random() < 0.6
            for x, facing in ((low - 1.0, np.pi), (high + 1.0, 0.0)):
                for side in (-1, 1):
                    maker = scenery.traffic_light if signals else scenery.traffic_sign
                    self._stand(maker(rng), x, side * (half + 0.6), KERB, facing, 0.4)

    def _close_ends(self) -> None:
        """Close each end of the street with a building, in some scenes."""
        rng, town = self.rng, self.town
        for sign in (-1, 1):
            if rng.random() < 0.6:
                wall = objects.hsv(rng.choice(town.wall_hues), town.saturation,
                                   rng.uniform(0.4, 0.9))
                parts = scenery.building(rng, rng.uniform(20, 45), 14.0, self._storeys(1.3), wall,
                                         objects.hsv(town.roof_hue, 0.5, 0.4))
                self.parts += place(
                    parts, (sign * (REACH + rng.uniform(0, 15)), rng.uniform(-10, 10), 0.0),
                    -sign * np.pi / 2)


def _sorted(a: float, b: float) -> Range:
    return (a, b) if a < b else (b, a)
