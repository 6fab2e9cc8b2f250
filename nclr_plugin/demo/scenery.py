"""Trees, street furniture and buildings, each built from a few solids.

Every builder returns parts in the object's own frame: x forward, y left, ground at z = 0.
"""
from __future__ import annotations

import colorsys

import numpy as np

from .objects import LAY_ALONG, METAL, Color, hsv, span, upright
from .primitives import Label, Material, Part, Pattern, Shape, yaw_matrix


def tree(rng: np.random.Generator, leaf: Color) -> list[Part]:
    """Build a broad-leaved tree or a conifer: trunk and crown."""
    height, radius = rng.uniform(4.0, 10.0), rng.uniform(0.1, 0.28)
    bark = Material(hsv(0.08, rng.uniform(0.2, 0.5), rng.uniform(0.25, 0.5)), Label.TRUNK,
                    Pattern.BARK, infrared=0.9)
    crown = Material(leaf, Label.VEGETATION, Pattern.FOLIAGE, accent=(0.05, 0.1, 0.03),
                     infrared=1.7)
    clear = height * rng.uniform(0.22, 0.4)
    if rng.random() < 0.25:
        parts = [upright(radius, 0.0, clear, bark)]
        for level in range(3):
            reach = (0.26 - 0.06 * level) * height
            low = clear + level * (height - clear) * 0.27
            high = min(low + (height - clear) * 0.5, height)
            parts.append(
                span(Shape.FRUSTUM, (-reach, reach), (-reach, reach), (low, high), crown,
                     inset=(0.95, 0.95, 0.95)))
        return parts
    parts = [upright(radius, 0.0, height * 0.6, bark)]
    for _ in range(rng.integers(3, 6)):
        size = (height - clear) * rng.uniform(0.24, 0.38, 3)
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.16) * height
        level = rng.uniform(clear + size[2] * 0.7, height - size[2])
        parts.append(
            Part(Shape.ELLIPSOID, (reach * np.cos(angle), reach * np.sin(angle), level),
                 tuple(size), crown))
    return parts


def bush(rng: np.random.Generator, leaf: Color) -> list[Part]:
    """Build a bush of one to three low ellipsoids."""
    crown = Material(leaf, Label.VEGETATION, Pattern.FOLIAGE, accent=(0.05, 0.1, 0.03),
                     infrared=1.6)
    return [
        Part(Shape.ELLIPSOID, (rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), 0.3),
             tuple(rng.uniform([0.4, 0.4, 0.5], [1.1, 1.0, 1.2])), crown)
        for _ in range(rng.integers(1, 4))
    ]


def lamp(rng: np.random.Generator) -> list[Part]:
    """Build a street lamp; its arm points to +x."""
    height = rng.uniform(5.0, 8.0)
    paint = Material(hsv(0.4, rng.uniform(0, 0.3), rng.uniform(0.2, 0.6)), Label.POLE)
    return [
        upright(rng.uniform(0.06, 0.12), 0.0, height, paint),
        upright(0.17, 0.0, 0.7, paint),
        Part(Shape.CYLINDER, (0.7, 0, height - 0.05), (0.05, 0.05, 0.75), paint, LAY_ALONG),
        span(Shape.BOX, (1.1, 1.8), (-0.14, 0.14), (height - 0.2, height - 0.05), paint),
    ]


def traffic_sign(rng: np.random.Generator) -> list[Part]:
    """Build a round or square sign on a pole; it faces +x."""
    pole = Material(METAL, Label.POLE)
    height, size = rng.uniform(2.0, 2.8), rng.uniform(0.28, 0.42)
    hue = rng.choice([0.0, 0.6, 0.13])
    plate = Material((0.9, 0.9, 0.9) if hue == 0 else hsv(hue, 0.9, 0.8), Label.TRAFFIC_SIGN,
                     Pattern.SIGN, accent=hsv(hue, 0.95,
                                              0.75), infrared=3.0, params=(size, 1.0, 1.0, 1.0))
    parts = [upright(0.035, 0.0, height + size, pole)]
    if rng.random() < 0.5:
        parts.append(
            Part(Shape.CYLINDER, (0.06, 0, height + size), (size, size, 0.015), plate, LAY_ALONG))
    else:
        parts.append(
            span(Shape.BOX, (0.045, 0.075), (-size, size), (height, height + 2 * size), plate))
    return parts


def traffic_light(rng: np.random.Generator) -> list[Part]:
    """Build a traffic light with three lamps; it faces +x."""
    pole = Material((0.35, 0.36, 0.36), Label.POLE)
    case = Material((0.08, 0.09, 0.08), Label.OTHER_OBJECT)
    parts = [upright(0.07, 0.0, 3.3, pole)]
    parts.append(span(Shape.BOX, (0.05, 0.25), (-0.17, 0.17), (2.3, 3.2), case))
    lit = rng.integers(3)
    for k, hue in enumerate((0.0, 0.13, 0.38)):
        glow = Material(hsv(hue, 0.9, 1.0 if k == lit else 0.25), Label.OTHER_OBJECT)
        parts.append(
            Part(Shape.CYLINDER, (0.26, 0, 3.03 - 0.28 * k), (0.1, 0.1, 0.02), glow, LAY_ALONG))
    return parts


def furniture(rng: np.random.Generator) -> list[Part]:
    """Build a bin, bench, cabinet, row of bollards, bus shelter or billboard."""
    kind = rng.choice(['bin', 'bench', 'cabinet', 'bollards', 'shelter', 'billboard'])
    paint = Material(hsv(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.25, 0.8)),
                     Label.OTHER_OBJECT)
    if kind == 'bin':
        return [upright(0.28, 0.0, rng.uniform(0.8, 1.1), paint)]
    if kind == 'bench':
        return [
            span(Shape.BOX, (-0.9, 0.9), (-0.22, 0.22), (0.38, 0.46), paint),
            span(Shape.BOX, (-0.9, 0.9), (-0.26, -0.2), (0.46, 0.9), paint),
            span(Shape.BOX, (-0.75, -0.65), (-0.2, 0.2), (0.0, 0.38), paint),
            span(Shape.BOX, (0.65, 0.75), (-0.2, 0.2), (0.0, 0.38), paint),
        ]
    if kind == 'cabinet':
        width, height = rng.uniform(0.4, 0.9), rng.uniform(1.0, 1.6)
        return [span(Shape.BOX, (-width, width), (-0.25, 0.25), (0.0, height), paint)]
    if kind == 'bollards':
        post = Material(METAL, Label.POLE)
        row = [upright(0.07, 0.0, 0.9, post) for _ in range(4)]
        return [
            Part(p.shape, (1.5 * k - 2.2, 0, p.center[2]), p.half, post) for k, p in enumerate(row)
        ]
    structure = Material(paint.color, Label.OTHER_STRUCTURE)
    if kind == 'shelter':
        glass = Material((0.45, 0.5, 0.5), Label.OTHER_STRUCTURE, infrared=0.3)
        return [
            span(Shape.BOX, (-2.0, 2.0), (-0.7, 0.7), (2.3, 2.42), structure),
            span(Shape.BOX, (-2.0, 2.0), (-0.7, -0.64), (0.2, 2.3), glass),
            span(Shape.BOX, (-2.0, -1.9), (-0.7, 0.7), (0.0, 2.3), structure),
            span(Shape.BOX, (1.9, 2.0), (-0.7, 0.7), (0.0, 2.3), structure),
        ]
    poster = Material(hsv(rng.random(), 0.8, 0.9), Label.OTHER_STRUCTURE, Pattern.SIGN,
                      accent=hsv(rng.random(), 0.7, 0.4), params=(1.2, 1.0, 1.0, 1.0))
    return [
        span(Shape.BOX, (-1.7, 1.7), (-0.12, 0.12), (0.9, 3.2), poster),
        span(Shape.BOX, (-0.1, 0.1), (-0.1, 0.1), (0.0, 0.9), structure),
    ]


def building(rng: np.random.Generator, width: float, depth: float, storeys: int, wall: Color,
             roof: Color) -> list[Part]:
    """Build a house with its front at y = 0, facing -y, and its back at y = ``depth``.

    Args:
        rng: Random generator.
        width: Size along x, metres.
        depth: Size along y, metres.
        storeys: Number of storeys.
        wall: sRGB colour of the facade.
        roof: sRGB colour of a pitched roof.

    Returns:
        Parts of the house: a main body with windows and a door and, at random, bays, a recessed
        top, a pitched roof, balconies, an awning and a chimney.
    """
    storey = rng.uniform(2.8, 3.6)
    height = storeys * storey + 0.4
    hue = colorsys.rgb_to_hsv(*wall)
    spacing = rng.uniform(1.6, 3.6)
    facade = Material(
        wall, Label.BUILDING, Pattern.FACADE, accent=hsv(0.58, rng.uniform(0.1, 0.35),
                                                         rng.uniform(0.15, 0.4)),
        infrared=rng.uniform(0.7, 1.2), params=(storey, spacing, spacing * rng.uniform(0.3, 0.75),
                                                storey * rng.uniform(0.35, 0.65)))
    trim = Material(hsv(hue[0], hue[1] * 0.5, hue[2] * rng.choice([0.55, 1.35])), Label.BUILDING)
    other = Material(hsv(hue[0] + rng.uniform(-0.1, 0.1), hue[1], hue[2] * rng.uniform(0.6, 1.3)),
                     Label.BUILDING, Pattern.FACADE, facade.accent, facade.infrared, facade.params)
    left, right = -width / 2, width / 2
    parts = [
        span(Shape.BOX, (left, right), (0.0, depth), (0.0, height), facade),
        span(Shape.BOX, (left - 0.08, right + 0.08), (-0.08, depth), (0.0, 0.5), trim)
    ]
    if rng.random() < 0.5:  # pitched roof, ridge along the street or across
        tiles = Material(roof, Label.BUILDING, Pattern.ROOF, infrared=0.8)
        along = rng.random() < 0.6
        rise = (depth if along else width) * rng.uniform(0.2, 0.4)
        size = (width / 2 + 0.3, depth / 2 + 0.3) if along else (depth / 2 + 0.3, width / 2 + 0.3)
        hip = rng.choice([0.0, 0.4])
        parts.append(
            Part(Shape.FRUSTUM, (0.0, depth / 2, height + rise / 2), (*size, rise / 2), tiles,
                 np.eye(3) if along else yaw_matrix(np.pi / 2), inset=(hip, hip, 0.98)))
        if rng.random() < 0.6:
            x = rng.uniform(left * 0.7, right * 0.7)
            parts.append(
                span(Shape.BOX, (x - 0.4, x + 0.4), (depth * 0.4, depth * 0.4 + 0.7),
                     (height, height + rise + 0.8), trim))
    else:
        parts.append(
            span(Shape.BOX, (left - 0.2, right + 0.2), (-0.2, depth), (height, height + 0.4),
                 trim))
        if rng.random() < 0.5:
            cut = rng.uniform(0.15, 0.4) * width
            parts.append(
                span(Shape.BOX, (left + cut, right - 0.1 * cut), (1.5, depth),
                     (height + 0.4, height + 0.4 + storey), other))
    for _ in range(rng.integers(0, 4)):  # bays
        half = rng.uniform(0.8, 2.0)
        x = rng.uniform(left + half, right - half) if width > 2 * half else 0.0
        low = rng.choice([0.0, storey]) if storeys > 1 else 0.0
        top = rng.uniform(max(low + 0.9 * storey, 0.5 * height), height)
        parts.append(
            span(Shape.BOX, (x - half, x + half), (-rng.uniform(0.5, 1.8), 0.1), (low, top),
                 other if rng.random() < 0.6 else facade))
    if storeys > 1 and rng.random() < 0.4:  # balconies
        x, half = rng.uniform(left * 0.6, right * 0.6), rng.uniform(0.8, 1.8)
        parts += [
            span(Shape.BOX, (x - half, x + half), (-1.1, 0.0),
                 (level * storey, level * storey + 0.9), trim) for level in range(1, storeys)
        ]
    if rng.random() < 0.4:  # shop awning
        awning = Material(hsv(rng.random(), 0.8, 0.75), Label.BUILDING, Pattern.PLAIN)
        parts.append(span(Shape.BOX, (left * 0.8, right * 0.5), (-1.3, 0.0), (2.6, 2.85), awning))
    x = rng.uniform(left * 0.8, right * 0.8)
    door = Material(hsv(rng.random(), rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.6)),
                    Label.BUILDING)
    parts.append(span(Shape.BOX, (x - 0.55, x + 0.55), (-0.12, 0.0), (0.0, 2.1), door))
    return parts
