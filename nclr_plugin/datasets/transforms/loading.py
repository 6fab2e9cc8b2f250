"""Loading scans and images, with every check that the rest relies on."""
from __future__ import annotations

import os

import numpy as np
from mmengine.registry import TRANSFORMS

from ...utils.optional import optional_import
from ..errors import BrokenFrameError
from ..images import read_image
from .base import BaseTransform

FLOAT_BYTES = 4


@TRANSFORMS.register_module()
class LoadScan(BaseTransform):
    """Load a scan: raw float32 rows (``.bin``) or an (N, lidar_dim) array (``.npy``).

    Sets ``points`` (N, use_dim) float32 with the intensity scaled to 0..1 by the data set's
    ``intensity_scale`` (nuScenes stores 0..255).

    Args:
        use_dim: Leading columns that are kept: 4 is x, y, z, intensity.

    Raises:
        BrokenFrameError: If the file is absent, cut off or empty, or holds NaN or infinity.
    """

    def __init__(self, use_dim: int = 4) -> None:
        self.use_dim = use_dim

    def transform(self, results: dict) -> dict:
        """Load ``lidar_path``; see the class."""
        results['points'] = read_scan(results, self.use_dim)
        return results


def read_scan(results: dict, use_dim: int, finite: bool = True) -> np.ndarray:
    """The checked points of a scan, see :class:`LoadScan`.

    Args:
        results: With ``frame_id``, ``lidar_path``, ``lidar_dim`` and perhaps ``intensity_scale``.
        use_dim: Leading columns that are kept.
        finite: Refuse NaN and infinity.

    Returns:
        (N, use_dim) float32, the intensity scaled.

    Raises:
        BrokenFrameError: See the class.
        ValueError: If the scan has fewer columns.
    """
    frame_id, path, lidar_dim = (results[key] for key in ('frame_id', 'lidar_path', 'lidar_dim'))
    if use_dim > lidar_dim:
        raise ValueError(f"LoadScan: use_dim is {use_dim}, but a point of '{path}' has "
                         f'{lidar_dim} columns; lower use_dim.')
    read = _read_npy if path.endswith('.npy') else _read_bin
    points = read(frame_id, path, lidar_dim)[:, :use_dim]
    if len(points) == 0:
        raise BrokenFrameError(frame_id, f"scan '{path}': expected points, found none.")
    if finite and not np.isfinite(points).all():
        broken = np.count_nonzero(~np.isfinite(points).all(axis=1))
        raise BrokenFrameError(
            frame_id, f"scan '{path}': expected finite numbers, found NaN or infinity in "
            f'{broken} of {len(points)} points; export the scan without them.')
    points = np.ascontiguousarray(points, dtype=np.float32)
    if use_dim > 3:
        points[:, 3] *= results.get('intensity_scale', 1.0)
    return points


def _read_bin(frame_id: str, path: str, lidar_dim: int) -> np.ndarray:
    """(N, lidar_dim) float32 of a raw file."""
    _require_file(frame_id, path, 'scan')
    size, row = os.path.getsize(path), FLOAT_BYTES * lidar_dim
    if size % row:
        raise BrokenFrameError(
            frame_id, f"scan '{path}': expected rows of {lidar_dim} float32 numbers ({row} bytes), "
            f'found {size} bytes, {size % row} too many: it is cut off or has other columns.')
    return np.fromfile(path, dtype=np.float32).reshape(-1, lidar_dim)


def _read_npy(frame_id: str, path: str, lidar_dim: int) -> np.ndarray:
    """(N, lidar_dim) array of a NumPy file."""
    _require_file(frame_id, path, 'scan')
    try:
        points = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise BrokenFrameError(
            frame_id, f"scan '{path}': expected a NumPy array, found: {error}") from error
    if points.ndim != 2 or points.shape[1] != lidar_dim or points.dtype.kind != 'f':
        raise BrokenFrameError(
            frame_id, f"scan '{path}': expected floating-point numbers of shape (N, {lidar_dim}), "
            f'found {points.dtype} of shape {points.shape}.')
    return points


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


def _require_file(frame_id: str, path: str, kind: str) -> None:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        found = 'none' if not os.path.exists(path) else 'something unreadable'
        raise BrokenFrameError(frame_id, f"{kind} '{path}': expected a file, found {found}.")
