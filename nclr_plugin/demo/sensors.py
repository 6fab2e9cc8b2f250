"""Simulated camera and LiDAR."""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from .appearance import appearance
from .rays import CameraRays, LidarRays, SunRays, cast
from .scene import Scene

SHADOW_EXTENT, SHADOW_CELLS = 50.0, 360  # half side of the shadow map, metres; cells per side
SHADOW_SHIFT, SHADOW_BIAS = 0.3, 0.15  # metres along normal and light, against self-shadow
BATCH = 1 << 16  # number of pixels shaded at a time, so that arrays stay in the cache
SKY = np.array([0.32, 0.50, 0.85], np.float32)
HORIZON = np.array([0.75, 0.80, 0.86], np.float32)
SUNLIGHT = np.array([1.0, 0.93, 0.82], np.float32)
HAZE_RANGE = 350.0  # distance at which 63% of the light is haze, metres
MAX_RANGE, MIN_RANGE, RANGE_NOISE = 80.0, 1.5, 0.02  # of the LiDAR, metres


class Photograph(NamedTuple):
    """Image of a camera.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) depths, metres; ``inf`` for the sky.
        instance: (H, W) instance ids, 0 for none.
    """
    image: np.ndarray
    depth: np.ndarray
    instance: np.ndarray


class Scan(NamedTuple):
    """N returns of a LiDAR.

    Attributes:
        points: (N, 4) float32 x, y, z in the LiDAR frame, metres, and intensity in 0..1.
        ring: (N,) beam indices, 0 for the lowest.
        semantic: (N,) raw SemanticKITTI labels, never those of moving classes.
        instance: (N,) instance ids, 0 for none.
    """
    points: np.ndarray
    ring: np.ndarray
    semantic: np.ndarray
    instance: np.ndarray


class ShadowMap:
    """Shadow map of the sunlight around the ego vehicle.

    Args:
        scene: The scene.
    """
    def __init__(self, scene: Scene) -> None:
        self.rays = SunRays(scene.ego2world[:3, 3], scene.to_sun, SHADOW_EXTENT, SHADOW_CELLS)
        self.depth, _ = cast(scene.primitives, self.rays)

    def lit(self, points: np.ndarray) -> np.ndarray:
        """Return the share of sunlight (N,) that reaches world points (N, 3); 1 outside the map."""
        cells, depth = self.rays.coordinates(points)
        corner = np.floor(cells).astype(int)
        share = (cells - corner).astype(np.float32)
        inside = ((corner >= 0) & (corner < SHADOW_CELLS - 1)).all(1)
        row, col = np.clip(corner, 0, SHADOW_CELLS - 2).T
        lit = np.zeros(len(points), np.float32)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):  # bilinear, for soft edges
            weight = np.abs(1 - i - share[:, 0]) * np.abs(1 - j - share[:, 1])
            lit += weight * (self.depth[row + i, col + j] > depth - SHADOW_BIAS)
        return np.where(inside, lit, 1.0).astype(np.float32)


def photograph(scene: Scene, shadows: ShadowMap, rays: CameraRays,
               rng: np.random.Generator) -> Photograph:
    """Render the image of a camera.

    The simulation covers sunlight with shadows, sky light, reflections on glass, haze, a slightly
    soft lens, vignetting, exposure, white balance, shot and read noise, and gamma.

    Args:
        scene: The scene.
        shadows: Shadow map of the scene.
        rays: Rays of the camera.
        rng: Random generator for exposure and noise.

    Returns:
        The image with depth and instances.
    """
    depth, index = cast(scene.primitives, rays)
    light = np.empty((depth.size, 3), np.float32)
    for start in range(0, depth.size, BATCH):
        pixels = slice(start, start + BATCH)
        light[pixels] = _light(scene, shadows, rays,
                               depth.ravel()[pixels],
                               index.ravel()[pixels], start)
    image = cv2.GaussianBlur(light.reshape(*rays.shape, 3), (0, 0), 0.5)
    instance = np.where(index >= 0, scene.primitives.instance[index], 0)
    return Photograph(_develop(image, rng), depth, instance)


def _light(scene: Scene, shadows: ShadowMap, rays: CameraRays, depth: np.ndarray, index: np.ndarray,
           start: int) -> np.ndarray:
    """Return the linear light (N, 3) of N pixels in row-major order from index ``start``."""
    rows, cols = np.divmod(np.arange(start, start + len(depth)), rays.shape[1])
    view = rays.directions(rows, cols).astype(np.float32)
    view /= np.sqrt(np.einsum('ni,ni->n', view, view))[:, None]
    light = np.empty((len(depth), 3), np.float32)
    light[index < 0] = _sky(scene, view[index < 0])
    hit = np.flatnonzero(index >= 0)
    distance, view = depth[hit], view[hit]
    surface = scene.primitives.surface(
        index[hit], rays.points(distance.astype(np.float64), rows[hit], cols[hit]))
    look = appearance(scene, surface)
    facing = surface.normal @ scene.to_sun.astype(np.float32)
    lit = np.maximum(facing, 0) * shadows.lit(surface.point + SHADOW_SHIFT * surface.normal)
    ambient = 0.75 * (0.5 + 0.3 * surface.normal[:, 2:])
    shaded = look.albedo * (1.9 * SUNLIGHT * lit[:, None] + HORIZON * ambient)
    shiny = np.flatnonzero(look.gloss > 0)
    along = np.einsum('ni,ni->n', view[shiny], surface.normal[shiny])[:, None]
    mirrored = _sky(scene, view[shiny] - 2 * along * surface.normal[shiny])
    gloss = look.gloss[shiny, None] * (0.4 + 0.6 * (1 - np.abs(along))**3)
    shaded[shiny] += gloss * (mirrored - shaded[shiny])
    haze = 1 - np.exp(-distance / HAZE_RANGE)[:, None]
    light[hit] = shaded + haze * (HORIZON * 0.8 - shaded)
    return light


def _develop(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Convert linear light (H, W, 3) to an 8-bit image."""
    height, width = light.shape[:2]
    y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j].astype(np.float32)
    light = light * (1 - 0.18 * (x * x + y * y) / 2)[..., None]
    light *= rng.normal(1.0, 0.04, 3).astype(np.float32)
    light *= np.float32(rng.uniform(0.45, 0.62) / max(np.percentile(light[::4, ::4], 85), 1e-3))
    noise = rng.standard_normal(light.shape, np.float32)
    light += noise * np.sqrt(np.maximum(light, 0) * 2e-4 + 2e-5)
    return (np.clip(light, 0, 1)**(1 / 2.2) * 255 + 0.5).astype(np.uint8)


def _sky(scene: Scene, direction: np.ndarray) -> np.ndarray:
    """Return the light (N, 3) of the sky along world directions (N, 3)."""
    up = np.clip(direction[:, 2:], 0, 1)
    sky = HORIZON + (SKY - HORIZON) * up**0.5
    toward = direction @ scene.to_sun.astype(np.float32)
    sky = sky + SUNLIGHT * 0.5 * (np.clip(toward, 0, 1)**24)[:, None]
    phase = np.float32((scene.seed % 1000) / 50.0)
    x, y = (direction[:, :2] / (up + 0.25)).T
    cloud = (np.sin(1.7 * x + phase) + np.sin(2.3 * y + 1.3 * phase) +
             np.sin(3.1 * x - 2.7 * y + phase) + 0.5 * np.sin(7 * x + 5 * y)) / 3.5
    cover = np.clip(cloud[:, None] * 1.5 - 0.1, 0, 0.8)
    return sky + (0.9 - sky) * cover


def scan(scene: Scene, rays: LidarRays, rng: np.random.Generator) -> Scan:
    """Simulate one turn of a LiDAR.

    Surfaces that are dark, glossy, far away or hit at a grazing angle lose more returns.

    Args:
        scene: The scene.
        rays: Rays of the LiDAR.
        rng: Random generator for range noise, dropped returns and intensity noise.

    Returns:
        The returns, ordered by beam, then by time.
    """
    distance, index = cast(scene.primitives, rays)
    rows, cols = np.nonzero((index >= 0) & (distance > MIN_RANGE) & (distance < MAX_RANGE))
    distance, index = distance[rows, cols].astype(np.float64), index[rows, cols]
    surface = scene.primitives.surface(index, rays.points(distance, rows, cols))
    look = appearance(scene, surface)
    direction = rays.directions(rows, cols)
    grazing = np.abs(((direction @ rays.rotation.T) * surface.normal).sum(1))
    strength = look.infrared * np.sqrt(np.maximum(grazing, 0.02))
    kept = rng.random(len(rows)) < _return_probability(strength, distance)
    intensity = strength * rng.normal(1.0, 0.06, len(rows)) + rng.normal(0, 0.01, len(rows))
    distance += rng.normal(0, RANGE_NOISE, len(rows))
    points = np.column_stack(
        [distance[:, None] * direction,
         np.round(np.clip(intensity, 0, 1) * 255) / 255])[kept].astype(np.float32)
    ring = (rays.shape[0] - 1 - rows)[kept]
    return Scan(points, ring, look.semantic[kept], scene.primitives.instance[index[kept]])


def _return_probability(strength: np.ndarray, distance: np.ndarray) -> np.ndarray:
    return 0.985 * (1 - np.exp(-60.0 * strength * np.exp(-distance / 45.0)))
