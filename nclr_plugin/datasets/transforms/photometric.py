"""Colour jitter; noise and occlusions at test time (CrossI2P, Table 2)."""
from __future__ import annotations

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS

from .loading import BaseTransform

# ITU-R BT.601, as in JPEG: luma, and the two chroma axes (I, Q) in which hue is an angle.
RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
YIQ_TO_RGB = np.linalg.inv(RGB_TO_YIQ)
LUMA = RGB_TO_YIQ[0]


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Change brightness, contrast, saturation and hue of each view at random.

    The order is: scale by the brightness; blend with the mean grey (contrast), with the grey of the
    pixel (saturation); rotate about the grey axis (hue). All are affine in RGB, so one 3x4 matrix
    applies them in one pass, rounded and clipped to 0..255 once.

    Args:
        brightness: The factor is uniform in [1 - brightness, 1 + brightness]; 0: off.
        contrast: As for ``brightness``.
        saturation: As for ``brightness``.
        hue: The rotation is uniform in [-hue, hue], as a fraction of the circle.
    """

    def __init__(self,
                 brightness: float = 0.4,
                 contrast: float = 0.4,
                 saturation: float = 0.4,
                 hue: float = 0.05) -> None:
        limits = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        for name, limit in limits.items():
            highest = 0.5 if name == 'hue' else 1.0
            if not 0 <= limit <= highest:
                raise ValueError(f'ColorJitter: expected {name} in [0, {highest}], '
                                 f'found {limit}.')
        self.limits = np.array(list(limits.values()))

    def transform(self, results: dict) -> dict:
        """Change ``imgs``; see the class."""
        results['imgs'] = [
            cv2.transform(img, self._colour_map(img, results['rng'])) for img in results['imgs']
        ]
        return results

    def _colour_map(self, img: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a random (3, 4) affine map of RGB columns."""
        draw = rng.uniform(-self.limits, self.limits)
        brightness, contrast, saturation = 1 + draw[:3]
        angle = 2 * np.pi * draw[3]
        # The same as img.mean((0, 1)), ten times as fast.
        mean = np.array(cv2.sumElems(img)[:3]) / img[..., 0].size
        grey = brightness * LUMA @ mean
        saturate = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), LUMA)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = YIQ_TO_RGB @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ RGB_TO_YIQ
        linear = turn @ saturate
        offset = linear @ np.full(3, (1 - contrast) * grey)
        return np.column_stack([linear * (contrast * brightness), offset])


@TRANSFORMS.register_module()
class PointNoise(BaseTransform):
    """Add Gaussian noise to the coordinates of every point.

    Args:
        deviation: Standard deviation of each coordinate, metres; 0: off.
    """

    def __init__(self, deviation: float = 0.) -> None:
        if deviation < 0:
            raise ValueError(f'PointNoise: expected deviation >= 0, found {deviation}.')
        self.deviation = deviation

    def transform(self, results: dict) -> dict:
        """Add noise to ``points``; see the class."""
        if self.deviation:
            points = results['points'].copy()
            noise = results['rng'].normal(0., self.deviation, (len(points), 3))
            points[:, :3] += noise.astype(np.float32)
            results['points'] = points
        return results


@TRANSFORMS.register_module()
class ImageOcclusion(BaseTransform):
    """Draw black squares at random places of every image.

    Args:
        size: Side of a square, pixels; 0: off.
        count: Number of squares per image, which the paper does not state.
    """

    def __init__(self, size: int = 0, count: int = 10) -> None:
        if size < 0 or count < 1:
            raise ValueError('ImageOcclusion: expected size >= 0 and count >= 1, found '
                             f'size={size}, count={count}.')
        self.size = size
        self.count = count

    def transform(self, results: dict) -> dict:
        """Occlude parts of ``imgs``; see the class."""
        if self.size:
            results['imgs'] = [img.copy() for img in results['imgs']]
            for img in results['imgs']:
                highest = np.maximum(np.array(img.shape[:2]) - self.size, 0)
                for top, left in results['rng'].integers(0, highest + 1, (self.count, 2)):
                    img[top:top + self.size, left:left + self.size] = 0
        return results
