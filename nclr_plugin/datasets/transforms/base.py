"""What the transforms of this package have in common."""
from __future__ import annotations

from abc import ABCMeta, abstractmethod


class BaseTransform(metaclass=ABCMeta):
    """A step of the pipeline: takes the results of the one before, returns its own.

    The keys of ``results``, once loaded (``frame_id`` and the paths come from the data set):

    ==================  ==========================================================================
    ``points``          (N, C) float32: x, y, z in metres in the LiDAR frame, then intensity 0..1
    ``imgs``            list of V arrays (H, W, 3), uint8, RGB
    ``cam2img``         (V, 3, 3) float64, of the images as they are
    ``lidar2cam``       (V, 4, 4) float64, from the points as they are
    ``placement``       (4, 4) float64, ``p' = placement @ p``; once :class:`RandomPlacement` ran
    ``rng``             ``numpy.random.Generator``, the only source of randomness
    ==================  ==========================================================================
    """

    def __call__(self, results: dict) -> dict:
        """Apply the transform."""
        return self.transform(results)

    @abstractmethod
    def transform(self, results: dict) -> dict:
        """Transform the results.

        Args:
            results: See the class.

        Returns:
            The results, changed.
        """
