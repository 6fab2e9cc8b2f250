"""Colour, infrared reflectance and label of surfaces, shared by cameras and LiDAR."""
from __future__ import annotations

from typing import Callable, NamedTuple

import numpy as np

from .primitives import Label, Pattern, Surface
from .scene import Road, Scene

PAINT = np.float32(0.72)  # linear albedo of lane paint


class Appearance(NamedTuple):
    """Appearance of N surface points.

    Attributes:
        albedo: (N, 3) linear RGB.
        gloss: (N,) weight of the mirrored sky, 0 for matt surfaces.
        infrared: (N,) laser reflectance.
        semantic: (N,) raw SemanticKITTI labels.
    """
    albedo: np.ndarray
    gloss: np.ndarray
    infrared: np.ndarray
    semantic: np.ndarray


def appearance(scene: Scene, surface: Surface) -> Appearance:
    """Evaluate the materials at surface points.

    Args:
        scene: The scene.
        surface: N surface points of the scene.

    Returns:
        Appearance of the points. The infrared reflectance follows the textured colour, so that
        cameras and LiDAR record the same patterns.
    """
    world, index = scene.primitives, surface.index
    albedo, gloss = world.color[index].copy(), np.zeros(len(index), np.float32)
    semantic = world.semantic[index].copy()
    patterns = world.pattern[index]
    for pattern, paint in _PAINTERS.items():
        rows = np.flatnonzero(patterns == pattern)
        if len(rows):
            patch = _Patch(scene, Surface(*(values[rows] for values in surface)))
            albedo[rows], gloss[rows], painted = paint(patch)
            semantic[rows] = np.where(painted, Label.LANE_MARKING, semantic[rows])
    luminance = albedo @ np.array([0.3, 0.5, 0.2], np.float32)
    infrared = world.infrared[index] * np.sqrt(luminance) * (1.0 - 0.8 * gloss)
    infrared += 0.3 * (semantic == Label.LANE_MARKING)
    return Appearance(albedo, gloss, infrared, semantic)


class _Patch:
    """N surface points with the same pattern, and the parameters of their materials."""
    def __init__(self, scene: Scene, surface: Surface) -> None:
        world = scene.primitives
        self.road, self.seed, self.surface = scene.road, scene.seed, surface
        self.point = surface.point.astype(np.float32)
        self.color, self.accent = world.color[surface.index], world.accent[surface.index]
        self.params = world.params[surface.index].T
        self.half = world.half[surface.index].astype(np.float32)
        self.index = surface.index

    def noise(self, x: np.ndarray, y: np.ndarray, salt: int = 0) -> np.ndarray:
        """Return smooth value noise (N,) in -1..1 on a unit lattice."""
        return _noise(x, y, self.seed + salt)

    def cells(self, points: np.ndarray, size: float, salt: int = 0) -> np.ndarray:
        """Return random numbers (N,) in -1..1, equal within each cube of ``size`` metres."""
        x, y, z = np.floor(points / size).astype(np.int64).T
        return _hash(x, y, z + 7919 * salt, self.seed)

    @property
    def along(self) -> np.ndarray:
        """Return the horizontal coordinate (N,) on an upright face, metres from its middle."""
        return np.where(self.surface.axis == 0, self.surface.local[:, 1], self.surface.local[:, 0])


def _plain(patch: _Patch) -> tuple:
    grain = 1 + 0.03 * patch.cells(patch.surface.local, 0.15)
    return patch.color * grain[:, None], np.float32(0.06), False


def _road(patch: _Patch) -> tuple:
    x, y = patch.point[:, 0], patch.point[:, 1]
    tone = (1 + 0.16 * patch.noise(x / 6, y / 2.5) + 0.12 * patch.noise(x / 0.5, y / 0.5, 1) +
            0.1 * patch.noise(x / 0.12, y / 0.12, 2))
    tone *= np.where(patch.noise(x / 9, y / 3, 3) > 0.55, 0.68, 1.0)  # repaired patches
    crack = np.abs(patch.noise(x / 3, y / 3, 4) + 0.3 * patch.noise(x, y, 5)) < 0.02
    tone = np.where(crack, tone * 0.6, tone)
    painted = _markings(patch.road, x, y) & (patch.noise(x / 0.4, y / 0.4, 6) > -0.75)
    albedo = np.where(painted[:, None], PAINT * (0.85 + 0.15 * tone[:, None]),
                      patch.color * tone[:, None])
    return albedo, 0.03, painted


def _markings(road: Road, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points (N,) are painted: lane lines, kerb lines and zebra crossings."""
    painted = np.zeros(len(x), bool)
    for lane in road.lanes:
        solid = lane == 0.0 and len(road.lanes) > 1
        painted |= (np.abs(y - lane) < 0.07) & (solid | (x % 9.0 < 3.5))
    if road.parking:
        edge = road.half - road.parking
        painted |= (np.abs(np.abs(y) - edge) < 0.05) & (x % 2.0 < 1.2)
    else:
        painted |= np.abs(np.abs(y) - (road.half - 0.3)) < 0.06
    for low, high in road.crossings:
        painted &= (x < low - 3.2) | (x > high + 3.2)
        for start in (low - 3.0, high + 0.2):
            zebra = (x > start) & (x < start + 2.8) & (np.abs(y) < road.half - 0.2)
            painted |= zebra & (y % 1.0 < 0.5)
        middle, half = (low + high) / 2, (high - low) / 2
        beyond = np.abs(y) > road.half
        painted |= beyond & (np.abs(x - middle) < 0.06) & (y % 6.0 < 3.0)
        painted |= beyond & (np.abs(np.abs(x - middle) - half + 0.25) < 0.05)
    return painted


def _paving(patch: _Patch) -> tuple:
    x, y, size = patch.point[:, 0], patch.point[:, 1], patch.params[0]
    joint = (x % size < 0.03) | (y % size < 0.03)
    slab = _hash(
        np.floor(x / size).astype(np.int64),
        np.floor(y / size).astype(np.int64), 0, patch.seed)
    tone = (1 + 0.1 * slab + 0.1 * patch.noise(x / 0.3, y / 0.3) +
            0.12 * patch.noise(x / 4, y / 4, 1))
    return patch.color * (tone * np.where(joint, 0.6, 1.0))[:, None], 0.03, False


def _grass(patch: _Patch) -> tuple:
    x, y = patch.point[:, 0], patch.point[:, 1]
    tone = 1 + 0.3 * patch.noise(x / 0.25, y / 0.25) + 0.25 * patch.noise(x / 1.5, y / 1.5, 1)
    dry = np.clip(patch.noise(x / 5, y / 5, 2) * 1.5 + 0.1, 0, 1)[:, None]
    return (patch.color * (1 - dry) + patch.accent * dry) * tone[:, None], 0.0, False


def _facade(patch: _Patch) -> tuple:
    storey, spacing, width, height = patch.params
    along = patch.along + spacing / 2
    above = patch.surface.local[:, 2] + patch.half[:, 2]
    column, level = np.floor(along / spacing), np.floor(above / storey)
    across, up = along - (column + 0.5) * spacing, above - (level + 0.5) * storey
    upright = patch.surface.axis != 2
    inside = np.abs(patch.along) + width / 2 < patch.half[np.arange(len(along)),
                                                          np.where(patch.surface.axis == 0, 1, 0)]
    shape = (np.abs(across) / width, np.abs(up) / height)
    window = upright & inside & (shape[0] < 0.5) & (shape[1] < 0.5)
    frame = window & ((shape[0] > 0.42) | (shape[1] > 0.44) | (np.abs(across) < 0.04))
    pane = window & ~frame
    draw = _hash(column.astype(np.int64), level.astype(np.int64), patch.index, patch.seed)
    u, v = patch.along, above
    course = ((v % 0.3) < 0.03) & upright
    tone = (1 + 0.08 * patch.noise(u / 0.2, v / 0.2) + 0.1 * patch.noise(u / 2.5, v / 2.5, 1))
    tone = np.where(course, tone * 0.88, tone)
    stain = np.clip(1.3 - above / 1.2, 0, 0.3)  # darker base
    albedo = patch.color * (tone * (1 - stain))[:, None]
    albedo[frame] = 0.55
    curtain = (draw > 0.35)[:, None]
    glass = np.where(curtain, patch.accent * 2.5 + 0.1, patch.accent)
    albedo = np.where(pane[:, None], glass, albedo)
    return albedo, np.where(pane, 0.45, 0.0), False


def _roof(patch: _Patch) -> tuple:
    height = patch.surface.local[:, 2]
    rows = np.where((height % 0.35) < 0.08, 0.7, 1.0)
    tile = patch.cells(patch.surface.local, 0.35)
    return patch.color * (rows * (1 + 0.14 * tile))[:, None], 0.0, False


def _foliage(patch: _Patch) -> tuple:
    point = patch.point + 0.2 * np.sin(patch.point[:, [1, 2, 0]] * 3.0)
    light = 0.5 + 0.3 * patch.cells(point, 0.14) + 0.2 * patch.cells(point, 0.5, 1)
    light = np.clip(light, 0, 1)[:, None]
    return patch.accent * (1 - light) + patch.color * light * 1.25, 0.0, False


def _cabin(patch: _Patch) -> tuple:
    half, local, axis = patch.half, patch.surface.local, patch.surface.axis
    height = local[:, 2] / half[:, 2]
    side = axis == 1
    along = patch.along / np.where(side, half[:, 0], half[:, 1])
    middle = side & (np.abs(along - 0.05) < 0.05)
    pillar = middle | (np.abs(along) > 0.9)
    glass = (axis != 2) & (height > -0.85) & (height < 0.75) & ~pillar
    albedo = np.where(glass[:, None], patch.accent, patch.color)
    return albedo, np.where(glass, 0.4, 0.06), False


def _bark(patch: _Patch) -> tuple:
    local = patch.surface.local * np.array([1.0, 1.0, 0.2], np.float32)
    return patch.color * (1 + 0.3 * patch.cells(local, 0.05))[:, None], 0.0, False


def _fence(patch: _Patch) -> tuple:
    gap = (patch.along % patch.params[0]) / patch.params[0] < 0.22
    tone = np.where(gap, 0.25, 1.0) * (1 + 0.1 * patch.cells(patch.surface.local, 0.2))
    return patch.color * tone[:, None], 0.0, False


def _sign(patch: _Patch) -> tuple:
    across, up, size = patch.surface.local[:, 0], patch.surface.local[:, 1], patch.params[0]
    flat = patch.half.argmin(1) == 0  # a box plate: thin along its own x
    across = np.where(flat, patch.surface.local[:, 1], across)
    up = np.where(flat, patch.surface.local[:, 2], up)
    radius = np.maximum(np.abs(across), np.abs(up)) / size
    accent = (radius > 0.78) | ((np.abs(up) < 0.15 * size) & (radius < 0.6))
    return np.where(accent[:, None], patch.accent, patch.color), 0.0, False


_PAINTERS: dict[Pattern, Callable[[_Patch], tuple]] = {
    Pattern.PLAIN: _plain,
    Pattern.ROAD: _road,
    Pattern.PAVING: _paving,
    Pattern.GRASS: _grass,
    Pattern.FACADE: _facade,
    Pattern.ROOF: _roof,
    Pattern.FOLIAGE: _foliage,
    Pattern.CABIN: _cabin,
    Pattern.BARK: _bark,
    Pattern.FENCE: _fence,
    Pattern.SIGN: _sign,
}


def _hash(x: np.ndarray, y: np.ndarray, z: np.ndarray, seed: int) -> np.ndarray:
    """Return a pseudo-random number in -1..1 for each integer triple."""
    mixed = (np.asarray(x * 73856093 ^ y * 19349663 ^ z * 83492791) + seed).astype(np.uint32)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(3266489917)
    mixed ^= mixed >> np.uint32(16)
    return mixed.astype(np.float32) * np.float32(2 / 2**32) - np.float32(1)


def _noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    column, row = np.floor(x), np.floor(y)
    u, v = x - column, y - row
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    column, row = column.astype(np.int64), row.astype(np.int64)
    low = _hash(column, row, 0, seed) * (1 - u) + _hash(column + 1, row, 0, seed) * u
    high = _hash(column, row + 1, 0, seed) * (1 - u) + _hash(column + 1, row + 1, 0, seed) * u
    return low * (1 - v) + high * v
