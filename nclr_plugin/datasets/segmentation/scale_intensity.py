"""Intensities as the pretraining sees them."""
from __future__ import annotations

from mmcv.transforms import BaseTransform


class ScaleIntensity(BaseTransform):
    """Multiply the fourth value of the host's points.

    nuScenes stores intensities in 0..255, and mmdet3d hands them on; pretraining scales them to
    0..1 (:class:`~nclr_plugin.datasets.LoadScan`), and so has to what the weights are used for.

    Args:
        scale: The factor, such as 1/255.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def transform(self, results: dict) -> dict:
        """Scale column 3 of ``points`` (N, 4+), a ``BasePoints``, in place."""
        results['points'].tensor[:, 3] *= self.scale
        return results
