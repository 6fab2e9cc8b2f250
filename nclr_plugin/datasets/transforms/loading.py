"""Loading scans and images, with every check that the rest relies on."""
from __future__ import annotations

import numpy as np
from mmengine.registry import TRANSFORMS

from ...utils.optional import optional_import
from ..images import read_image
from ..scans import read_scan
from .base import BaseTransform


@TRANSFORMS.register_module()
class LoadScan(BaseTransform):
    """Load a scan of any format that :func:`~nclr_plugin.datasets.scan_files.read_columns` reads.

    Sets ``points`` (N, use_dim) float32: the rows that are measurements
    (:func:`~nclr_plugin.datasets.scans.drop_invalid_rows`), with the intensity scaled to 0..1 by
    the data set's ``intensity_scale`` (nuScenes stores 0..255).

    Args:
        use_dim: Leading columns that are kept: 4 is x, y, z, intensity.

    Raises:
        BrokenFrameError: If the file is absent, cut off or empty, has other columns than
            ``lidar_dim`` says, other intensities than ``intensity_scale`` says, or fewer than 30
            measurements.
    """

    def __init__(self, use_dim: int = 4) -> None:
        self.use_dim = use_dim

    def transform(self, results: dict) -> dict:
        """Load ``lidar_path``; see the class."""
        results['points'] = read_scan(results, self.use_dim)
        return results


@TRANSFORMS.register_module()
class LoadImages(BaseTransform):
    """Load the images of a frame, RGB, and stack the calibration of its views.

    Sets ``imgs`` (V arrays (H, W, 3) uint8), ``cam2img`` (V, 3, 3) and ``lidar2cam`` (V, 4, 4).

    An entry of ``images`` with ``replaced_by``, another such entry, gets that one's picture,
    resized to the size of its own: the wrong-image control of :class:`CalibrationDataset`. Its
    own calibration stays.

    Raises:
        BrokenFrameError: See :func:`~nclr_plugin.datasets.images.read_image`.
    """

    def transform(self, results: dict) -> dict:
        """Load ``images``; see the class."""
        images = results['images']
        results['imgs'] = [self._load_view(results['frame_id'], image) for image in images]
        results['cam2img'] = np.stack([image['cam2img'] for image in images])
        results['lidar2cam'] = np.stack([image['lidar2cam'] for image in images])
        return results

    def _load_view(self, frame_id: str, image: dict) -> np.ndarray:
        pixels = read_image(frame_id, image)
        if 'replaced_by' not in image:
            return pixels
        # The own image was loaded for its size, which the calibration holds for.
        other = read_image(frame_id, image['replaced_by'])
        if other.shape == pixels.shape:
            return other
        cv2 = optional_import('cv2', 'opencv-python-headless', 'Reading images')
        return cv2.resize(other, pixels.shape[1::-1], interpolation=cv2.INTER_AREA)
