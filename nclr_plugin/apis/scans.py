"""Scans to be calibrated: read from files, checked, and refused with the reason."""
from __future__ import annotations

import logging
from typing import Any, Optional, Set

import numpy as np
import torch
from mmengine.logging import print_log

from ..datasets.scan_files import read_columns
from ..datasets.scans import (PERCENTILE, SCALE_OPTION, check_columns, drop_invalid_rows,
                              fits_intensity_scale, guess_intensity_scale, intensity_level,
                              scale_intensity)
from ..errors import CalibrationInputError, ScanError
from ..geometry.camera import in_view, project_points

MIN_POINTS = 500
RANGES = 0.5, 200.  # metres, of the median point of a scan
FARTHEST = 3.  # metres; a scan that ends there is in other units
MIN_ELEVATION_DEG = 4.  # between the lowest and the highest twentieth of the points


def load_scan(path: str, lidar_dim: int = 4) -> np.ndarray:
    """Load the rows of a scan file.

    Args:
        path: ``.bin`` (raw float32 rows), ``.npy`` (N, lidar_dim), ``.pcd`` or ``.ply``, whose
            fields are told by their names.
        lidar_dim: Columns of a raw file: x, y, z, intensity, and others that are left out.

    Returns:
        (N, 4) float32 x, y, z, intensity as the file has it; (N, 3) when it has none. Rows that
        are no measurement stay: :class:`Calibrator` drops them.

    Raises:
        CalibrationInputError: If there is no such file, or it cannot be read.
        ImportError: For ``.ply`` without plyfile.
    """
    try:
        return read_columns(path, lidar_dim)[:, :4]
    except ScanError as error:
        raise CalibrationInputError(str(error)) from error


class ScanChecker:
    """Checks scans, and brings their intensities to 0..1.

    Args:
        intensity_scale: What turns intensities into 0..1. By None that of the training, if the
            intensities of the scan fit it, or else what they look like: by their 99th percentile
            0..1, 0..255 (8 bits) or 0..65535 (16 bits).
        trained_scale: That of the training; None when it is not known.

    Raises:
        CalibrationInputError: If ``intensity_scale`` is not above 0.
    """

    def __init__(self, intensity_scale: Optional[float] = None,
                 trained_scale: Optional[float] = None) -> None:
        if intensity_scale is not None and not 0 < intensity_scale < np.inf:
            raise CalibrationInputError('intensity_scale: expected a number above 0 that turns '
                                        f'intensities into 0..1, found {intensity_scale}.')
        self.intensity_scale = intensity_scale
        self.trained_scale = trained_scale
        self._logged: Set[str] = set()

    def __call__(self, points: Any, name: str = 'scan') -> np.ndarray:
        """Check a scan, drop what is no measurement, scale the intensity.

        What is found out is logged for the first scan; later ones are mostly alike.

        Args:
            points: (N, 3 or more): x, y, z in metres, LiDAR frame, then intensity, which is zero
                where there is none.
            name: For the message.

        Returns:
            (M, 4) float32.

        Raises:
            CalibrationInputError: If it is no array of points, has fewer than 500 measurements, is
                of one ring, in other units than metres, or has other columns.
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
                self._log_once('rows', f'{name}: {dropped}; they are left out.')
            check_columns(points, name)
            _check_rings(points, name)
            return self._with_intensity(points, name)
        except ScanError as error:
            raise CalibrationInputError(str(error)) from error

    def _with_intensity(self, points: np.ndarray, name: str) -> np.ndarray:
        if points.shape[1] == 3:
            self._log_once(
                'none', f'{name}: no intensity; the network has been trained with one and sees '
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
                f'are taken as 0..{1 / scale:.0f} (intensity_scale {scale:.7g}), where that of '
                f'the training is {self.trained_scale or "not known"}. If that is wrong, set '
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
    if middle > RANGES[1] or middle < RANGES[0] and far < FARTHEST:
        guess = ('millimetres or centimetres, or in a map frame' if middle > RANGES[1] else
                 'kilometres, or scaled to a unit box')
        raise ScanError(
            f'{name}: expected metres in the frame of the sensor, but half of the points are '
            f'nearer and half farther than {middle:.4g}; is it in {guess}?')


def _check_rings(points: np.ndarray, name: str) -> None:
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    low, high = np.percentile(elevation, (5, 95))
    if high - low < MIN_ELEVATION_DEG:
        raise ScanError(
            f'{name}: expected a scan of many rings, found elevations between {low:.1f} and '
            f'{high:.1f} deg only, as of one ring; a planar scanner cannot be calibrated by this '
            'method.')


def check_in_front(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray, height: int,
                   width: int) -> None:
    """Check that the camera sees some of the points, by a guess of its pose.

    Raises:
        CalibrationInputError: If not.
    """
    pixels, depth = project_points(torch.from_numpy(points[:, :3]).double(),
                                   torch.from_numpy(lidar2cam), torch.from_numpy(cam2img))
    if not in_view(pixels, depth, height, width).any():
        behind = int((depth <= 0).sum())
        raise CalibrationInputError(
            f'initial lidar2cam: expected points of the scan in view, found none ({behind} of '
            f'{len(points)} are behind the camera); is it cam2lidar, or are axes exchanged '
            '(LiDAR x forward, y left, z up; camera x right, y down, z forward)?')
