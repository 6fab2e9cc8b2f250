"""Road users, each built from a few solids.

Every builder returns parts in the object's own frame: x forward, y left, ground at z = 0.
"""
from __future__ import annotations

import colorsys
from typing import NamedTuple, Tuple

import numpy as np

from .primitives import Label, Material, Part, Pattern, Shape

Color = Tuple[float, float, float]
GLASS: Color = (0.16, 0.20, 0.24)
RUBBER: Color = (0.09, 0.09, 0.10)
METAL: Color = (0.55, 0.57, 0.58)
LAY_ACROSS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # cylinder along y
LAY_ALONG = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])  # cylinder along x


class Box(NamedTuple):
    """A box in an object's own frame: centre and full size, metres."""
    center: np.ndarray
    size: np.ndarray


def hsv(hue: float, saturation: float, value: float) -> Color:
    """Return the sRGB colour of a hue (turns), saturation and value in 0..1."""
    return colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0), 1), min(max(value, 0), 1))


def bounding_box(parts: list[Part]) -> Box:
    """Return the bounding box of parts in their own frame."""
    corners = np.concatenate([part.corners() for part in parts])
    low, high = corners.min(0), corners.max(0)
    return Box((low + high) / 2, high - low)


def span(shape: Shape, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float],
         material: Material, inset: tuple[float, float, float] = (0, 0, 0)) -> Part:
    """Build a solid that fills a range along each axis."""
    low, high = np.array([x, y, z], np.float64).T
    return Part(shape, tuple((low + high) / 2), tuple((high - low) / 2), material, inset=inset)


def upright(radius: float, low: float, high: float, material: Material) -> Part:
    """Build an upright cylinder between two heights."""
    return Part(Shape.CYLINDER, (0.0, 0.0, (low + high) / 2), (radius, radius, (high - low) / 2),
                material)


def car(rng: np.random.Generator) -> list[Part]:
    """Build a hatchback, saloon, estate or van of random size and colour."""
    label, paint = Label.CAR, _paint(rng)
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
        span(Shape.FRUSTUM, (-length / 2, length / 2), (-width / 2, width / 2), (0.2, middle),
             body, inset=(0.06, 0.04, 0.03)),
        span(Shape.FRUSTUM, (back, front), (-width * 0.48, width * 0.48), (middle, height), cabin,
             inset=(0.5 if style != 'van' else 0.3, rng.uniform(0.15, 0.45), 0.18)),
    ]
    parts += _wheels(label, 0.31 * length, width / 2 - 0.1, rng.uniform(0.29, 0.35))
    parts += _lights(label, length, width, 0.75 * middle)
    return parts


def truck(rng: np.random.Generator) -> list[Part]:
    """Build a lorry with a cab and a load box of another colour."""
    label, length = Label.TRUCK, rng.uniform(6.0, 9.5)
    width, height = rng.uniform(2.2, 2.5), rng.uniform(2.8, 3.6)
    cab = Material(_paint(rng), label, Pattern.CABIN, accent=GLASS)
    load = Material(hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.4, 0.95)), label)
    dark = Material((0.15, 0.15, 0.16), label)
    cut = length / 2 - 2.0
    parts = [
        span(Shape.FRUSTUM, (cut + 0.1, length / 2), (-width * 0.48, width * 0.48), (0.5, 2.6),
             cab, inset=(0.2, 0.0, 0.04)),
        span(Shape.BOX, (-length / 2, cut), (-width / 2, width / 2), (1.0, height), load),
        span(Shape.BOX, (-length / 2, length / 2), (-width * 0.4, width * 0.4), (0.5, 1.0), dark),
    ]
    parts += _wheels(label, 0.36 * length, width / 2 - 0.15, 0.48)
    return parts + _lights(label, length, width, 0.9)


def bus(rng: np.random.Generator) -> list[Part]:
    """Build a city bus with a band of windows."""
    label, length, width = Label.BUS, rng.uniform(9.5, 12.0), 2.5
    paint = hsv(rng.random(), rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.95))
    body = Material(paint, label)
    band = Material(paint, label, Pattern.CABIN, accent=GLASS)
    parts = [
        span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (0.3, 1.3), body),
        span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (1.3, 2.7), band),
        span(Shape.BOX, (-length / 2, length / 2), (-width / 2, width / 2), (2.7, 3.0), body),
    ]
    parts += _wheels(label, 0.32 * length, width / 2 - 0.12, 0.5)
    return parts + _lights(label, length, width, 0.8)


def person(rng: np.random.Generator) -> list[Part]:
    """Build a walking or standing person."""
    height = rng.uniform(1.5, 1.95)
    return _rider_or_walker(rng, Label.PERSON, height, 0.0, rng.uniform(0.0, 0.22))


def cyclist(rng: np.random.Generator) -> list[Part]:
    """Build a bicycle with its rider, one object as in SemanticKITTI."""
    rider = _rider_or_walker(rng, Label.BICYCLIST, rng.uniform(1.55, 1.8), 0.35, 0.12)
    return rider + _bicycle(rng, Label.BICYCLIST)


def bicycle(rng: np.random.Generator) -> list[Part]:
    """Build a parked bicycle."""
    return _bicycle(rng, Label.BICYCLE)


def _paint(rng: np.random.Generator) -> Color:
    if rng.random() < 0.5:  # a shade of grey
        return hsv(0.6, 0.05, rng.choice([0.08, 0.2, 0.45, 0.7, 0.92]))
    return hsv(rng.random(), rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.85))


def _wheels(label: int, x: float, y: float, radius: float) -> list[Part]:
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


def _lights(label: int, length: float, width: float, height: float) -> list[Part]:
    white = Material((0.95, 0.95, 0.9), label, infrared=1.5)
    red = Material((0.75, 0.05, 0.05), label, infrared=2.5)
    parts = []
    for end, material in ((length / 2, white), (-length / 2, red)):
        for side in (-1, 1):
            middle = side * (width / 2 - 0.25)
            parts.append(
                span(Shape.BOX, (end - 0.06, end + 0.02), (middle - 0.18, middle + 0.18),
                     (height - 0.08, height + 0.08), material))
        parts.append(
            span(Shape.BOX, (end - 0.05, end + 0.03), (-0.26, 0.26), (0.42, 0.54),
                 Material((0.9, 0.9, 0.85), label, infrared=3.0)))
    return parts


def _rider_or_walker(rng: np.random.Generator, label: int, height: float, seat: float,
                     stride: float) -> list[Part]:
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


def _bicycle(rng: np.random.Generator, label: int) -> list[Part]:
    tyre = Material(RUBBER, label)
    frame = Material(hsv(rng.random(), 0.8, 0.7), label)
    parts = [
        Part(Shape.CYLINDER, (x, 0, 0.34), (0.34, 0.34, 0.02), tyre, LAY_ACROSS)
        for x in (-0.52, 0.52)
    ]
    parts.append(span(Shape.BOX, (-0.35, 0.4), (-0.02, 0.02), (0.5, 0.75), frame))
    parts.append(span(Shape.BOX, (0.38, 0.44), (-0.25, 0.25), (0.95, 1.0), frame))
    parts.append(span(Shape.BOX, (0.4, 0.44), (-0.02, 0.02), (0.4, 0.95), frame))
    return parts


BUILDERS: dict[int, object] = {
    Label.CAR: car,
    Label.TRUCK: truck,
    Label.BUS: bus,
    Label.PERSON: person,
    Label.BICYCLIST: cyclist,
    Label.BICYCLE: bicycle,
}
