"""Plausibility checks of camera poses, before training or calibration starts."""
from __future__ import annotations


import numpy as np
import torch

from ..geometry.camera import in_view, project_points
from .images import warn_once

MAX_DISTANCE = 5.  # metres, between camera and LiDAR
ROLLED_DEG, UPRIGHT_DEG = 15., 30.
MIN_SHARE = 0.002  # share of the points in view; a camera with 10 degrees sees more
DIRECTIONS = {(0, 1): 'forward', (0, -1): 'backward', (1, 1): 'left', (1, -1): 'right',
              (2, 1): 'up', (2, -1): 'down'}
AXES = 'LiDAR x forward, y left, z up; camera x right, y down, z forward; metres'


def check_pose(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray,
               size: tuple[int, int], where: str) -> None:
    """Warn, once, if a pose looks wrong: inverted, in other units, or with nothing in view.

    Args:
        points: (N, 3 or more), LiDAR frame, metres.
        lidar2cam: (4, 4).
        cam2img: (3, 3).
        size: (width, height) of the image.
        where: Name of the camera, for the message.
    """
    findings = find_faults(points, lidar2cam, cam2img, size)
    if findings:
        warn_once(f'{where}: lidar2cam looks wrong, for {"; ".join(findings)}. It must map '
                  f'LiDAR coordinates to camera coordinates ({AXES}). Ignore this if the rig is '
                  'built this way.')


def find_faults(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray,
                size: tuple[int, int]) -> list[str]:
    """Return the faults of a pose as clauses; see :func:`check_pose`."""
    findings = []
    inverse = np.linalg.inv(lidar2cam)
    distance = np.linalg.norm(inverse[:3, 3])
    if distance > MAX_DISTANCE:
        findings.append(f'the camera is {distance:.3g} m away from the LiDAR')
    tilt, other = _tilt_deg(lidar2cam), _tilt_deg(inverse)
    # No check the other way round: the inverse of most correct poses is tilted, too.
    if tilt > ROLLED_DEG and other < min(UPRIGHT_DEG, tilt / 2):
        findings.append(
            f'the camera looks {_direction(lidar2cam)}, with its image tilted by {tilt:.0f} deg, '
            f'but the inverse is upright and looks {_direction(inverse)}: is it cam2lidar?')
    share, inverse_share = (_share_in_view(points, pose, cam2img, size)
                            for pose in (lidar2cam, inverse))
    if share < MIN_SHARE:
        findings.append(f'{share:.1%} of the points are in view' + (
            f', but {inverse_share:.0%} by the inverse: is it cam2lidar?'
            if inverse_share > 10 * MIN_SHARE else ''))
    return findings


def _tilt_deg(lidar2cam: np.ndarray) -> float:
    """Return the angle between the camera's y axis and the LiDAR's -z axis."""
    return float(np.degrees(np.arccos(np.clip(-lidar2cam[1, 2], -1, 1))))


def _direction(lidar2cam: np.ndarray) -> str:
    """Return where the optical axis points in the LiDAR frame."""
    axis = int(np.abs(lidar2cam[2, :3]).argmax())
    return DIRECTIONS[axis, int(np.sign(lidar2cam[2, axis]))]


def _share_in_view(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray,
                   size: tuple[int, int]) -> float:
    pixels, depth = project_points(
        torch.as_tensor(points[:, :3]).double(),
        *(torch.as_tensor(np.asarray(matrix, np.float64)) for matrix in (lidar2cam, cam2img)))
    return float(in_view(pixels, depth, size[1], size[0]).double().mean())
