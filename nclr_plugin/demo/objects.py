"""Road users and street furniture, each built of a few solids.

Every builder returns parts in the object's own frame: x forward, y left, ground at z = 0.
"""
from __future__ import annotations

import colorsys
from typing import Dict, List, NamedTuple, Tuple

import numpy as np

from . import labels
from .primitives import Material, Part, Pattern, Shape, yaw_matrix

Color = Tuple[float, float, float]
GLASS: Color = (0.16, 0.20, 0.24)
RUBBER: Color = (0.09, 0.09, 0.10)
METAL: Color = (0.55, 0.57, 0.58)
LAY_ACROSS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # axis along y
LAY_ALONG = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # axis along x


class Box(NamedTuple):
    """An upright box in the own frame of an object: centre and full size, metres."""
    center: np.ndarray
    size: np.ndarray


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return sRGB of a hue (turns), saturation and value in 0..1."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))


def bounding_box(parts: List[Part]) -> Box:
    """Return the upright box around parts in their own frame."""
    corners = np.concatenate([part.corners() for part in parts])
    low, high = corners.min(0), corners.max(0)
    return Box((low + high) / 2, high - low)


def car(rng: np.random.Generator) -> List[Part]:
    """A hatchback, saloon, estate or van of random size and colour."""
    label, paint = labels.CAR, _paint(rng)
    style = rng.choice(['hatchback', 'saloon', 'estate', 'van'], p=[0.35, 0.3, 0.2, 0.15])
    length, width, height, bonnet, boot, belt = {
        'hatchback': (4.0, 1.72, 1.48, 0.24, 0.02, 0.58),
        'saloon': (4.6, 1.80, 1.44, 0.26, 0.18, 0.60),
        'estate': (4.6, 1.82, 1.52, 0.25, 0.02, 0.58),
        'van': (4.9, 1.92, 1.95, 0.16, 0.0, 0.50),
    }[style]
    length, width, height = np.array([length, width, height]) * rng.uniform(0.93, 1.08, 3)
    middle = belt * height
    body = Material(paint, label, infrared=rng.uniform(0.6, 1.1))
    cabin = Material(paint, label, Pattern.CABIN, accent=GLASS, infrared=0.7)
    front, back = length * (0.5 - bonnet), -length * (0.5 - boot)
    parts = [
        _span(Shape.FRUSTUM, (-length / 2, length / 2), (-width / 2, width / 2), (0.2, middle),
              body,
              inset=(0.06, 0.04, 0.03)),
        _span(Shape.FRUSTUM, (back, front), (-width * 0.48, width * 0.48), (middle, height),
              cabin,
              inset=(0.5 if style != 'van' else 0.3, rng.uniform(0.15, 0.45), 0.18)),
    ]
    parts += _wheels(label, 0.31 * length, width / 2 - 0.1, rng.uniform(0.29, 0.35))
    parts += _lights(label, length, width, 0.75 * middle)
    return parts


def truck(rng: np.random.Generator) -> List[Part]:
    """A lorry: driver's cab and a load box of another colour."""
    label, length = labels.TRUCK, rng.uniform(6.0, 9.5)
    width, height = rng.uniform(2.2, 2.5), rng.uniform(2.8, 3.6)
    cab = Material(_paint(rng), label, Pattern.CABIN, accent=GLASS)
    load = Material(hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.4, 0.95)), label)
    dark = Material((0.15, 0.15, 0.16), label)
    cut = length / 2 - 2.0
    parts = [
        _span(Shape.FRUSTUM, (cut + 0.1, length / 2), (-width * 0.48, width * 0.48), (0.5, 2.6),
              cab,
              inset=(0.2, 0.0, 0.04)),
        _span(Shape.BOX, (-length / 2, cut), (-width / 2, width / 2), (1.0, height), load),
        _span(Shape.BOX, (-length / 2, length / 2), (-width * 0.4, width * 0.4), (0.5, 1.0), dark),
    ]
    parts += _wheels(label, 0.36 * length, width / 2 - 0.15, 0.48)
    return parts + _lights(label, length, width, 0.9)


def bus(rng: np.random.Generator) -> List[Part]:
    """A city bus with a band of windows."""
    label, length, width = labels.BUS, rng.uniform(9.5, 12.0), 2.5
    paint = hsv(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.95))
    body = Material(paint, label)
    band = Material(paint, label, Pattern.CABIN, accent=GLASS)
    parts = [
        _span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (0.3, 1.3), body),
        _span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (1.3, 2.7), band),
        _span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (2.7, 3.0), body),
    ]
    parts += _wheels(label, 0.32 * length, width / 2 - 0.12, 0.5)
    return parts + _lights(label, length, width, 0.8)


def person(rng: np.random.Generator) -> List[Part]:
    """A walking or standing person."""
    height = rng.uniform(1.5, 1.95)
    return _rider_or_walker(rng, labels.PERSON, height, 0.0, rng.uniform(0.0, 0.22))


def cyclist(rng: np.random.Generator) -> List[Part]:
    """A bicycle with its rider; one object, as in SemanticKITTI."""
    rider = _rider_or_walker(rng, labels.BICYCLIST, rng.uniform(1.55, 1.8), 0.35, 0.12)
    return rider + _bicycle(rng, labels.BICYCLIST)


def bicycle(rng: np.random.Generator) -> List[Part]:
    """A parked bicycle."""
    return _bicycle(rng, labels.BICYCLE)


def tree(rng: np.random.Generator, leaf: Color) -> List[Part]:
    """A broad-leaved tree or a conifer: trunk and crown."""
    height, radius = rng.uniform(4.0, 10.0), rng.uniform(0.1, 0.28)
    bark = Material(hsv(0.08, rng.uniform(0.2, 0.5), rng.uniform(0.25, 0.5)),
                    labels.TRUNK,
                    Pattern.BARK,
                    infrared=0.9)
    crown = Material(leaf,
                     labels.VEGETATION,
                     Pattern.FOLIAGE,
                     accent=(0.05, 0.1, 0.03),
                     infrared=1.7)
    clear = height * rng.uniform(0.22, 0.4)
    if rng.random() < 0.25:
        parts = [_upright(radius, 0.0, clear, bark)]
        for level in range(3):
            reach = (0.26 - 0.06 * level) * height
            low = clear + level * (height - clear) * 0.27
            high = min(low + (height - clear) * 0.5, height)
            parts.append(
                _span(Shape.FRUSTUM, (-reach, reach), (-reach, reach), (low, high),
                      crown,
                      inset=(0.95, 0.95, 0.95)))
        return parts
    parts = [_upright(radius, 0.0, height * 0.6, bark)]
    for _ in range(rng.integers(3, 6)):
        size = (height - clear) * rng.uniform(0.24, 0.38, 3)
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.16) * height
        level = rng.uniform(clear + size[2] * 0.7, height - size[2])
        parts.append(
            Part(Shape.ELLIPSOID, (reach * np.cos(angle), reach * np.sin(angle), level),
                 tuple(size), crown))
    return parts


def bush(rng: np.random.Generator, leaf: Color) -> List[Part]:
    """One to three low ellipsoids of leaves."""
    crown = Material(leaf,
                     labels.VEGETATION,
                     Pattern.FOLIAGE,
                     accent=(0.05, 0.1, 0.03),
                     infrared=1.6)
    return [
        Part(Shape.ELLIPSOID, (rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), 0.3),
             tuple(rng.uniform([0.4, 0.4, 0.5], [1.1, 1.0, 1.2])), crown)
        for _ in range(rng.integers(1, 4))
    ]


def lamp(rng: np.random.Generator) -> List[Part]:
    """A street lamp; its arm points to +x."""
    height = rng.uniform(5.0, 8.0)
    paint = Material(hsv(0.4, rng.uniform(0, 0.3), rng.uniform(0.2, 0.6)), labels.POLE)
    return [
        _upright(rng.uniform(0.06, 0.12), 0.0, height, paint),
        _upright(0.17, 0.0, 0.7, paint),
        Part(Shape.CYLINDER, (0.7, 0, height - 0.05), (0.05, 0.05, 0.75), paint, LAY_ALONG),
        _span(Shape.BOX, (1.1, 1.8), (-0.14, 0.14), (height - 0.2, height - 0.05), paint),
    ]


def traffic_sign(rng: np.random.Generator) -> List[Part]:
    """A round or square sign on a pole; it faces +x."""
    pole = Material(METAL, labels.POLE)
    height, size = rng.uniform(2.0, 2.8), rng.uniform(0.28, 0.42)
    hue = rng.choice([0.0, 0.6, 0.13])
    plate = Material((0.9, 0.9, 0.9) if hue == 0 else hsv(hue, 0.9, 0.8),
                     labels.TRAFFIC_SIGN,
                     Pattern.SIGN,
                     accent=hsv(hue, 0.95, 0.75),
                     infrared=3.0,
                     params=(size, 1.0, 1.0, 1.0))
    parts = [_upright(0.035, 0.0, height + size, pole)]
    if rng.random() < 0.5:
        parts.append(
            Part(Shape.CYLINDER, (0.06, 0, height + size), (size, size, 0.015), plate, LAY_ALONG))
    else:
        parts.append(
            _span(Shape.BOX, (0.045, 0.075), (-size, size), (height, height + 2 * size), plate))
    return parts


def traffic_light(rng: np.random.Generator) -> List[Part]:
    """A signal head with three lamps; it faces +x."""
    pole = Material((0.35, 0.36, 0.36), labels.POLE)
    case = Material((0.08, 0.09, 0.08), labels.OTHER_OBJECT)
    parts = [_upright(0.07, 0.0, 3.3, pole)]
    parts.append(_span(Shape.BOX, (0.05, 0.25), (-0.17, 0.17), (2.3, 3.2), case))
    lit = rng.integers(3)
    for k, hue in enumerate((0.0, 0.13, 0.38)):
        glow = Material(hsv(hue, 0.9, 1.0 if k == lit else 0.25), labels.OTHER_OBJECT)
        parts.append(
            Part(Shape.CYLINDER, (0.26, 0, 3.03 - 0.28 * k), (0.1, 0.1, 0.02), glow, LAY_ALONG))
    return parts


def furniture(rng: np.random.Generator) -> List[Part]:
    """A bin, bench, cabinet, bollard row or bus shelter."""
    kind = rng.choice(['bin', 'bench', 'cabinet', 'bollards', 'shelter', 'billboard'])
    paint = Material(hsv(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.25, 0.8)),
                     labels.OTHER_OBJECT)
    if kind == 'bin':
        return [_upright(0.28, 0.0, rng.uniform(0.8, 1.1), paint)]
    if kind == 'bench':
        return [
            _span(Shape.BOX, (-0.9, 0.9), (-0.22, 0.22), (0.38, 0.46), paint),
            _span(Shape.BOX, (-0.9, 0.9), (-0.26, -0.2), (0.46, 0.9), paint),
            _span(Shape.BOX, (-0.75, -0.65), (-0.2, 0.2), (0.0, 0.38), paint),
            _span(Shape.BOX, (0.65, 0.75), (-0.2, 0.2), (0.0, 0.38), paint),
        ]
    if kind == 'cabinet':
        width, height = rng.uniform(0.4, 0.9), rng.uniform(1.0, 1.6)
        return [_span(Shape.BOX, (-width, width), (-0.25, 0.25), (0.0, height), paint)]
    if kind == 'bollards':
        post = Material(METAL, labels.POLE)
        row = [_upright(0.07, 0.0, 0.9, post) for _ in range(4)]
        return [
            Part(p.shape, (1.5 * k - 2.2, 0, p.center[2]), p.half, post) for k, p in enumerate(row)
        ]
    structure = Material(paint.color, labels.OTHER_STRUCTURE)
    if kind == 'shelter':
        glass = Material((0.45, 0.5, 0.5), labels.OTHER_STRUCTURE, infrared=0.3)
        return [
            _span(Shape.BOX, (-2.0, 2.0), (-0.7, 0.7), (2.3, 2.42), structure),
            _span(Shape.BOX, (-2.0, 2.0), (-0.7, -0.64), (0.2, 2.3), glass),
            _span(Shape.BOX, (-2.0, -1.9), (-0.7, 0.7), (0.0, 2.3), structure),
            _span(Shape.BOX, (1.9, 2.0), (-0.7, 0.7), (0.0, 2.3), structure),
        ]
    poster = Material(hsv(rng.random(), 0.8, 0.9),
                      labels.OTHER_STRUCTURE,
                      Pattern.SIGN,
                      accent=hsv(rng.random(), 0.7, 0.4),
                      params=(1.2, 1.0, 1.0, 1.0))
    return [
        _span(Shape.BOX, (-1.7, 1.7), (-0.12, 0.12), (0.9, 3.2), poster),
        _span(Shape.BOX, (-0.1, 0.1), (-0.1, 0.1), (0.0, 0.9), structure),
    ]


def building(rng: np.random.Generator, width: float, depth: float, storeys: int, wall: Color,
             roof: Color) -> List[Part]:
    """A house whose front faces -y at y = 0 and which reaches to y = depth.

    Args:
        rng: Random numbers.
        width: Along x, metres.
        depth: Along y, metres.
        storeys: Number of storeys.
        wall: sRGB colour of the facade.
        roof: sRGB colour of a pitched roof.

    Returns:
        Main body with windows, and at random bays, a recessed top, a pitched roof, balconies, an
        awning, a door and a chimney.
    """
    storey = rng.uniform(2.8, 3.6)
    height = storeys * storey + 0.4
    hue = colorsys.rgb_to_hsv(*wall)
    spacing = rng.uniform(1.6, 3.6)
    facade = Material(wall,
                      labels.BUILDING,
                      Pattern.FACADE,
                      accent=hsv(0.58, rng.uniform(0.1, 0.35), rng.uniform(0.15, 0.4)),
                      infrared=rng.uniform(0.7, 1.2),
                      params=(storey, spacing, spacing * rng.uniform(0.3, 0.75),
                              storey * rng.uniform(0.35, 0.65)))
    trim = Material(hsv(hue[0], hue[1] * 0.5, hue[2] * rng.choice([0.55, 1.35])), labels.BUILDING)
    other = Material(hsv(hue[0] + rng.uniform(-0.1, 0.1), hue[1], hue[2] * rng.uniform(0.6, 1.3)),
                     labels.BUILDING, Pattern.FACADE, facade.accent, facade.infrared, facade.params)
    left, right = -width / 2, width / 2
    parts = [
        _span(Shape.BOX, (left, right), (0.0, depth), (0.0, height), facade),
        _span(Shape.BOX, (left - 0.08, right + 0.08), (-0.08, depth), (0.0, 0.5), trim)
    ]
    if rng.random() < 0.5:  # pitched roof, ridge along the street or across
        tiles = Material(roof, labels.BUILDING, Pattern.ROOF, infrared=0.8)
        along = rng.random() < 0.6
        rise = (depth if along else width) * rng.uniform(0.2, 0.4)
        size = (width / 2 + 0.3, depth / 2 + 0.3) if along else (depth / 2 + 0.3, width / 2 + 0.3)
        hip = rng.choice([0.0, 0.4])
        parts.append(
            Part(Shape.FRUSTUM, (0.0, depth / 2, height + rise / 2), (*size, rise / 2),
                 tiles,
                 np.eye(3) if along else yaw_matrix(np.pi / 2),
                 inset=(hip, hip, 0.98)))
        if rng.random() < 0.6:
            x = rng.uniform(left * 0.7, right * 0.7)
            parts.append(
                _span(Shape.BOX, (x - 0.4, x + 0.4), (depth * 0.4, depth * 0.4 + 0.7),
                      (height, height + rise + 0.8), trim))
    else:
        parts.append(
            _span(Shape.BOX, (left - 0.2, right + 0.2), (-0.2, depth), (height, height + 0.4),
                  trim))
        if rng.random() < 0.5:
            cut = rng.uniform(0.15, 0.4) * width
            parts.append(
                _span(Shape.BOX, (left + cut, right - 0.1 * cut), (1.5, depth),
                      (height + 0.4, height + 0.4 + storey), other))
    for _ in range(rng.integers(0, 4)):  # bays
        half = rng.uniform(0.8, 2.0)
        x = rng.uniform(left + half, right - half) if width > 2 * half else 0.0
        low = rng.choice([0.0, storey]) if storeys > 1 else 0.0
        top = rng.uniform(max(low + 0.9 * storey, 0.5 * height), height)
        parts.append(
            _span(Shape.BOX, (x - half, x + half), (-rng.uniform(0.5, 1.8), 0.1), (low, top),
                  other if rng.random() < 0.6 else facade))
    if storeys > 1 and rng.random() < 0.4:  # balconies
        x, half = rng.uniform(left * 0.6, right * 0.6), rng.uniform(0.8, 1.8)
        parts += [
            _span(Shape.BOX, (x - half, x + half), (-1.1, 0.0),
                  (level * storey, level * storey + 0.9), trim) for level in range(1, storeys)
        ]
    if rng.random() < 0.4:  # shop awning
        awning = Material(hsv(rng.random(), 0.8, 0.75), labels.BUILDING, Pattern.PLAIN)
        parts.append(_span(Shape.BOX, (left * 0.8, right * 0.5), (-1.3, 0.0), (2.6, 2.85), awning))
    x = rng.uniform(left * 0.8, right * 0.8)
    door = Material(hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.6)),
                    labels.BUILDING)
    parts.append(_span(Shape.BOX, (x - 0.55, x + 0.55), (-0.12, 0.0), (0.0, 2.1), door))
    return parts


BUILDERS: Dict[int, object] = {
    labels.CAR: car,
    labels.TRUCK: truck,
    labels.BUS: bus,
    labels.PERSON: person,
    labels.BICYCLIST: cyclist,
    labels.BICYCLE: bicycle,
}


def _span(shape: Shape,
          x: Tuple[float, float],
          y: Tuple[float, float],
          z: Tuple[float, float],
          material: Material,
          inset: Tuple[float, float, float] = (0, 0, 0)) -> Part:
    """A solid that fills three ranges."""
    low, high = np.array([x, y, z], np.float64).T
    return Part(shape, tuple((low + high) / 2), tuple((high - low) / 2), material, inset=inset)


def _upright(radius: float, low: float, high: float, material: Material) -> Part:
    return Part(Shape.CYLINDER, (0.0, 0.0, (low + high) / 2), (radius, radius, (high - low) / 2),
                material)


def _paint(rng: np.random.Generator) -> Color:
    if rng.random() < 0.5:  # white to black
        return hsv(0.6, 0.05, rng.choice([0.08, 0.2, 0.45, 0.7, 0.92]))
    return hsv(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.85))


def _wheels(label: int, x: float, y: float, radius: float) -> List[Part]:
    tyre, rim = Material(RUBBER, label, infrared=0.6), Material(METAL, label)
    parts = []
    for sx in (-x, x):
        for sy in (-1, 1):
            parts.append(
                Part(Shape.CYLINDER, (sx, sy * y, radius), (radius, radius, 0.115), tyre,
                     LAY_ACROSS))
            parts.append(
                Part(Shape.CYLINDER, (sx, sy * (y + 0.11), radius),
                     (radius * 0.6, radius * 0.6, 0.02), rim, LAY_ACROSS))
    return parts


def _lights(label: int, length: float, width: float, height: float) -> List[Part]:
    white = Material((0.95, 0.95, 0.9), label, infrared=1.5)
    red = Material((0.75, 0.05, 0.05), label, infrared=2.5)
    parts = []
    for end, material in ((length / 2, white), (-length / 2, red)):
        for side in (-1, 1):
            middle = side * (width / 2 - 0.25)
            parts.append(
                _span(Shape.BOX, (end - 0.06, end + 0.02), (middle - 0.18, middle + 0.18),
                      (height - 0.08, height + 0.08), material))
        parts.append(
            _span(Shape.BOX, (end - 0.05, end + 0.03), (-0.26, 0.26), (0.42, 0.54),
                  Material((0.9, 0.9, 0.85), label, infrared=3.0)))
    return parts


def _rider_or_walker(rng: np.random.Generator, label: int, height: float, seat: float,
                     stride: float) -> List[Part]:
    skin = Material(hsv(0.07, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.9)), label)
    top = Material(hsv(rng.random(), rng.uniform(0.1, 0.95), rng.uniform(0.15, 0.95)), label)
    legs = Material(hsv(rng.choice([0.6, 0.08]), rng.uniform(0.1, 0.6), rng.uniform(0.1, 0.5)),
                    label)
    hip, neck = 0.48 * height, 0.84 * height
    low = seat * 0.6
    parts = [
        Part(Shape.CYLINDER, (sign * stride, sign * 0.1, low + (hip - low) / 2 + seat / 2),
             (0.08, 0.08, (hip - low) / 2), legs) for sign in (-1, 1)
    ]
    hip, neck = hip + seat * 0.6, neck + seat * 0.6
    parts.append(
        Part(Shape.ELLIPSOID, (0, 0, (hip + neck) / 2), (0.14, 0.2, (neck - hip) * 0.62), top))
    for sign in (-1, 1):
        parts.append(
            Part(Shape.CYLINDER,
                 (-sign * stride * 0.7 + seat * 0.4, sign * 0.2, (hip + neck) / 2 + 0.02),
                 (0.05, 0.05, (neck - hip) * 0.5), top))
    parts.append(
        Part(Shape.ELLIPSOID, (0.02, 0, neck + 0.08 * height), (0.1, 0.09, 0.085 * height), skin))
    return parts


def _bicycle(rng: np.random.Generator, label: int) -> List[Part]:
    tyre = Material(RUBBER, label)
    frame = Material(hsv(rng.random(), 0.8, 0.7), label)
    parts = [
        Part(Shape.CYLINDER, (x, 0, 0.34), (0.34, 0.34, 0.02), tyre, LAY_ACROSS)
        for x in (-0.52, 0.52)
    ]
    parts.append(_span(Shape.BOX, (-0.35, 0.4), (-0.02, 0.02), (0.5, 0.75), frame))
    parts.append(_span(Shape.BOX, (0.38, 0.44), (-0.25, 0.25), (0.95, 1.0), frame))
    parts.append(_span(Shape.BOX, (0.4, 0.44), (-0.02, 0.02), (0.4, 0.95), frame))
    return parts
