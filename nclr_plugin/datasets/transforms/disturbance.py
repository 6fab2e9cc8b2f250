"""Disturbances at test time: noise of the points, blocks over the image (CrossI2P, Table 2)."""
from __future__ import annotations

from typing import Tuple

import numpy as np
from mmengine.registry import TRANSFORMS

from .base import BaseTransform


@TRANSFORMS.register_module()
class PointNoise(BaseTransform):
    """Gaussian noise on the coordinates of every point.

    Args:
        deviation: Standard deviation of each coordinate, metres; 0 is off.
    """

    def __init__(self, deviation: float = 0.) -> None:
        if deviation < 0:
            raise ValueError(f'PointNoise: expected deviation >= 0, found {deviation}.')
        self.deviation = deviation

    def transform(self, results: dict) -> dict:
        """Move ``points``; see the class."""
        if self.deviation:
            points = results['points'].copy()
            noise = results['rng'].normal(0., self.deviation, (len(points), 3))
            points[:, :3] += noise.astype(np.float32)
            results['points'] = points
        return results


@TRANSFORMS.register_module()
class ImageOcclusion(BaseTransform):
    """Black squares at random places of every image.

    Args:
        size: Side of a square, pixels of the image as it is then; 0 is off.
        count: Squares on an image. The paper names the size alone.
    """

    def __init__(self, size: int = 0, count: int = 10) -> None:
        if size < 0 or count < 1:
            raise ValueError('ImageOcclusion: expected size >= 0 and count >= 1, found '
                             f'size={size}, count={count}.')
        self.size = size
        self.count = count

    def transform(self, results: dict) -> dict:
        """Cover parts of ``imgs``; see the class."""
        if self.size:
            results['imgs'] = [self._cover(img, results['rng']) for img in results['imgs']]
        return results

    def _cover(self, img: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        img = img.copy()
        for top, left in self._corners(img.shape[:2], rng):
            img[top:top + self.size, left:left + self.size] = 0
        return img

    def _corners(self, shape: Tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        highest = np.maximum(np.array(shape) - self.size, 0)
        return rng.integers(0, highest + 1, (self.count, 2))
