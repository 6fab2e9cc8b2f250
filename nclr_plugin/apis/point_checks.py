"""Scans that cannot be calibrated, and why."""
from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log

from nclr_plugin.geometry.camera import in_view, project_points

from .errors import CalibrationInputError

MIN_POINTS = 500
RANGES = 0.5, 200.  # metres, of the median point of a scan
MIN_ELEVATION_DEG = 4.  # between the lowest and the highest twentieth of the points
MAX_INTENSITY = 255.


def check_points(points: Any, name: str = 'scan') -> np.ndarray:
    """Check a scan, and bring its intensity to 0..1.

    Intensities up to 1 stay, and up to 255 are divided by 255; without a fourth column they are
    zero, with a warning.

    Args:
        points: (N, 3 or more): x, y, z in metres, LiDAR frame, then intensity.
        name: For the message.

    Returns:
        (N, 4) float32.

    Raises:
        CalibrationInputError: If it is no array of points, has NaN or infinity, is empty or nearly
            so, of one ring, or in other units than metres.
    """
    points = np.asarray(points)
    if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in 'fiu':
        raise CalibrationInputError(f'{name}: expected numbers of shape (N, 3 or more) (x, y, z, '
                                    f'intensity), found {points.dtype} of shape {points.shape}.')
    points = points[:, :4].astype(np.float32)
    if len(points) < MIN_POINTS:
        raise CalibrationInputError(f'{name}: expected a scan of at least {MIN_POINTS} points, '
                                    f'found {len(points)}.')
    broken = int((~np.isfinite(points).all(axis=1)).sum())
    if broken:
        raise CalibrationInputError(
            f'{name}: expected finite numbers, found NaN or infinity in {broken} of '
            f'{len(points)} points; drop them: points[np.isfinite(points).all(axis=1)].')
    _check_units(points, name)
    _check_rings(points, name)
    return _with_intensity(points, name)


def _check_units(points: np.ndarray, name: str) -> None:
    middle = float(np.median(np.linalg.norm(points[:, :3], axis=1)))
    if not RANGES[0] <= middle <= RANGES[1]:
        guess = ('millimetres or centimetres, or in a map frame' if middle > RANGES[1] else
                 'kilometres, or scaled to a unit box')
        raise CalibrationInputError(
            f'{name}: expected metres in the frame of the sensor, but half of the points are '
            f'nearer and half farther than {middle:.4g}; is it in {guess}?')


def _check_rings(points: np.ndarray, name: str) -> None:
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    low, high = np.percentile(elevation, (5, 95))
    if high - low < MIN_ELEVATION_DEG:
        raise CalibrationInputError(
            f'{name}: expected a scan of many rings, found elevations between {low:.1f} and '
            f'{high:.1f} deg only, as of one ring; a planar scanner cannot be calibrated by this '
            'method.')


def _with_intensity(points: np.ndarray, name: str) -> np.ndarray:
    if points.shape[1] == 3:
        print_log(f'{name}: no intensity; the network has been trained with one and sees zeros.',
                  logger='current', level=logging.WARNING)
        return np.pad(points, ((0, 0), (0, 1)))
    low, high = float(points[:, 3].min()), float(points[:, 3].max())
    if low < 0 or high > MAX_INTENSITY:
        raise CalibrationInputError(
            f'{name}: expected intensities of 0..1 or 0..255 in the fourth column, found '
            f'{low:.4g} ... {high:.4g}; scale them, or give x, y, z alone.')
    if high > 1:
        points[:, 3] /= MAX_INTENSITY
    return points


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
