"""Read scans for calibration, check them and turn them upright."""
from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmengine.logging import print_log

from ..datasets.scan_files import read_columns
from ..datasets.scans import (PERCENTILE, SCALE_OPTION, check_columns, drop_invalid_rows,
                              fits_intensity_scale, guess_intensity_scale, intensity_level,
                              scale_intensity)
from ..errors import CalibrationInputError, ScanError
from ..geometry.camera import in_view, project_points

MIN_POINTS = 500
RANGES = 0.5, 200.  # metres, distance of the median point of a scan
MIN_FAR = 3.  # metres; a scan that ends nearer is in other units
MIN_ELEVATION_DEG = 4.  # between the lowest and the highest twentieth of the points

# Ground plane of a scan that is nearly upright, lengths in metres.
GROUND_RANGE = 25.  # horizontal
MIN_SENSOR_HEIGHT = 0.5
GROUND_CELL = 0.5  # one point per cell, so that dense rings near the sensor do not dominate
GROUND_TOLERANCE = 0.1  # distance of a ground point from the plane
MAX_TILT_DEG = 15.
MIN_GROUND_CELLS = 200
MIN_GROUND_SHARE = 0.3  # of the cells below the sensor
MAX_SHARE_BELOW = 0.05  # of these cells, below the plane: the ground is the lowest surface
MIN_GROUND_EXTENT = 2.  # standard deviation of the ground points in each horizontal direction
NUM_PLANES = 1000  # random planes tried


def load_scan(path: str, lidar_dim: int = 4) -> np.ndarray:
    """Load a scan file.

    Args:
        path: ``.bin`` (raw float32 rows), ``.npy`` (N, lidar_dim), ``.pcd`` or ``.ply`` (fields by
            their names).
        lidar_dim: Number of columns of a raw file: x, y, z, intensity, and others, which are
            dropped.

    Returns:
        (N, 4) float32 x, y, z, intensity in the scale of the file; (N, 3) without intensity.
        Rows without a measurement are kept; :class:`Calibrator` drops them.

    Raises:
        CalibrationInputError: If the file does not exist or cannot be read.
        ImportError: If the file is a ``.ply`` and plyfile is not installed.
    """
    try:
        return read_columns(path, lidar_dim)[:, :4]
    except ScanError as error:
        raise CalibrationInputError(str(error)) from error


class ScanChecker:
    """Check scans and scale their intensities to 0..1.

    Args:
        intensity_scale: Factor that scales intensities to 0..1. ``None`` uses the factor of the
            training if the scan fits it. Otherwise the range is guessed from the 99th percentile of
            the intensities: 0..1, 0..255 (8 bits) or 0..65535 (16 bits).
        trained_scale: Factor of the training; ``None`` if unknown.

    Raises:
        CalibrationInputError: If ``intensity_scale`` is not above 0.
    """

    def __init__(self, intensity_scale: float | None = None,
                 trained_scale: float | None = None) -> None:
        if intensity_scale is not None and not 0 < intensity_scale < np.inf:
            raise CalibrationInputError('intensity_scale: expected a number above 0 that turns '
                                        f'intensities into 0..1, found {intensity_scale}.')
        self.intensity_scale = intensity_scale
        self.trained_scale = trained_scale
        self._logged: set[str] = set()

    def __call__(self, points: Any, name: str = 'scan') -> np.ndarray:
        """Check a scan, drop rows without a measurement, and scale the intensity.

        Each kind of finding is logged only once, since later scans are mostly alike.

        Args:
            points: (N, 3 or more) x, y, z in metres, LiDAR frame, intensity, and others, which are
                dropped. A missing intensity becomes 0.
            name: Name of the scan, for messages.

        Returns:
            (M, 4) float32.

        Raises:
            CalibrationInputError: If the scan is not an array of points, has fewer than 500
                measurements or a single ring, is not in metres, or has other columns.
        """
        points = np.asarray(points)
        if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in 'fiu':
            raise CalibrationInputError(
                f'{name}: expected numbers of shape (N, 3 or more) (x, y, z, intensity), found '
                f'{points.dtype} of shape {points.shape}.')
        points = points[:, :4].astype(np.float32)
        try:
            _check_units(points, name)
            points, dropped = drop_invalid_rows(points, name, MIN_POINTS)
            if dropped.count:
                self._log_once('rows', f'{name}: {dropped}; they are dropped.')
            check_columns(points, name)
            _check_rings(points, name)
            return self._with_intensity(points, name)
        except ScanError as error:
            raise CalibrationInputError(str(error)) from error

    def _with_intensity(self, points: np.ndarray, name: str) -> np.ndarray:
        if points.shape[1] == 3:
            self._log_once(
                'none', f'{name}: no intensity; the network was trained with intensities and gets '
                'zeros.', logging.WARNING)
            return np.pad(points, ((0, 0), (0, 1)))
        if self.intensity_scale is not None:
            return scale_intensity(points, self.intensity_scale, name)
        level = intensity_level(points[:, 3])
        if self.trained_scale is not None and fits_intensity_scale(level, self.trained_scale):
            return scale_intensity(points, self.trained_scale, name)
        scale = guess_intensity_scale([level])
        if scale is None:
            raise ScanError(f'{name}: expected intensities of 0..1, 0..255 or 0..65535, found '
                            f'{PERCENTILE}% of them up to {level:.4g}; set {SCALE_OPTION}.')
        if scale != 1 or self.trained_scale is not None:
            self._log_once(
                'scale', f'{name}: {PERCENTILE}% of the intensities are up to {level:.4g}; they '
                f'are taken as 0..{1 / scale:.0f} (intensity_scale {scale:.7g}; that of the '
                f'training is {self.trained_scale or "not known"}). If that is wrong, set '
                f'{SCALE_OPTION}.')
        return scale_intensity(points, scale, name)

    def _log_once(self, topic: str, text: str, level: int = logging.INFO) -> None:
        if topic not in self._logged:
            self._logged.add(topic)
            print_log(text, logger='current', level=level)


def _check_units(points: np.ndarray, name: str) -> None:
    xyz = points[np.isfinite(points[:, :3]).all(axis=1), :3].astype(np.float64)
    distance = np.linalg.norm(xyz, axis=1)
    distance = distance[distance > 0]
    if not len(distance):
        return
    middle, far = np.percentile(distance, (50, 99))
    if middle > RANGES[1] or middle < RANGES[0] and far < MIN_FAR:
        guess = ('millimetres or centimetres, or in a map frame' if middle > RANGES[1] else
                 'kilometres, or scaled to a unit box')
        raise ScanError(
            f'{name}: expected metres in the frame of the sensor, found a median distance of '
            f'{middle:.4g}; is it in {guess}?')


def _check_rings(points: np.ndarray, name: str) -> None:
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    low, high = np.percentile(elevation, (5, 95))
    if high - low < MIN_ELEVATION_DEG:
        raise ScanError(
            f'{name}: expected a scan of many rings, found elevations between {low:.1f} and '
            f'{high:.1f} deg only, as of one ring; this method cannot calibrate planar scanners.')


def level_rotation(points: np.ndarray) -> np.ndarray | None:
    """Find the rotation that levels the ground of a scan that is upright to within 15 deg.

    The ground is the plane below the sensor with the most points near it (RANSAC, then least
    squares). It must cover a good part of the area below the sensor, in both horizontal directions,
    and hardly any point may lie below it.

    Args:
        points: (N, 3 or more), metres, centred on the sensor, z roughly up.

    Returns:
        (3, 3) smallest rotation that turns the ground's normal to z; ``None`` without a ground.
    """
    xyz = np.asarray(points[:, :3], np.float64)
    xyz = xyz[(np.hypot(xyz[:, 0], xyz[:, 1]) < GROUND_RANGE) & (xyz[:, 2] < -MIN_SENSOR_HEIGHT)]
    xyz = xyz[np.unique(np.floor(xyz / GROUND_CELL).astype(int), axis=0, return_index=True)[1]]
    if len(xyz) < MIN_GROUND_CELLS:
        return None
    corners = xyz[np.random.default_rng(0).integers(0, len(xyz), (NUM_PLANES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    upright = np.abs(normals[:, 2]) > np.cos(np.radians(MAX_TILT_DEG)) * lengths
    upright &= lengths > 0
    if not upright.any():
        return None
    normals = normals[upright] / lengths[upright, None]
    offsets = (normals * corners[upright, 0]).sum(1)
    distances = np.minimum(np.abs(xyz @ normals.T - offsets), GROUND_TOLERANCE)
    best = np.square(distances).sum(0).argmin()
    normal, offset = normals[best], offsets[best]
    for _ in range(10):
        ground = xyz[np.abs(xyz @ normal - offset) < GROUND_TOLERANCE]
        centre = ground.mean(0)
        _, spread, axes = np.linalg.svd(ground - centre, full_matrices=False)
        normal, offset = axes[2], axes[2] @ centre
    normal, offset = (normal, offset) if normal[2] > 0 else (-normal, -offset)
    below = xyz @ normal < offset - 3 * GROUND_TOLERANCE
    if (len(ground) < max(MIN_GROUND_CELLS, MIN_GROUND_SHARE * len(xyz))
            or below.mean() > MAX_SHARE_BELOW
            or spread[1] < MIN_GROUND_EXTENT * np.sqrt(len(ground))
            or normal[2] < np.cos(np.radians(MAX_TILT_DEG))):
        return None
    # Rotation by the angle between the normal n and z about n x z.
    x, y, z = normal
    cross = np.array([[0., 0., -x], [0., 0., -y], [x, y, 0.]])
    return np.eye(3) + cross + cross @ cross / (1 + z)


def check_in_front(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray, height: int,
                   width: int) -> None:
    """Check that a camera sees some of the points under a guess of its pose.

    Args:
        points: (N, 3 or more), LiDAR frame, metres.
        lidar2cam: (4, 4), the guess.
        cam2img: (3, 3).
        height, width: Size of the image, pixels.

    Raises:
        CalibrationInputError: If no point is in view.
    """
    pixels, depth = project_points(points[:, :3].astype(np.float64), lidar2cam, cam2img)
    if not in_view(pixels, depth, height, width).any():
        behind = int((depth <= 0).sum())
        raise CalibrationInputError(
            f'initial lidar2cam: expected points of the scan in view, found none ({behind} of '
            f'{len(points)} are behind the camera); is it cam2lidar, or are axes exchanged '
            '(LiDAR x forward, y left, z up; camera x right, y down, z forward)?')
