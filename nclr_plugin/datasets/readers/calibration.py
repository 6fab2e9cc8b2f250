"""Read calibration matrices, check them, and warn of implausible camera poses."""
from __future__ import annotations

import re
from typing import Any, Union

import numpy as np

from ...errors import reading
from ...geometry.camera import in_view, project_points
from ..images import warn_once

# Published calibrations are rounded to 7 digits (KITTI) or stored as float32 (nuScenes infos).
ROTATION_TOLERANCE = 1e-3
KITTI_LINE = re.compile(r'\s*([A-Za-z]\w*)(?:\s*:|\s)(.*)')
# Names of the object data, and those of the same matrix in the tracking and the raw data.
KITTI_ALIASES = dict(
    R0_rect=('R_rect', 'R_rect_00'), Tr_velo_to_cam=('Tr_velo_cam', 'Tr'),
    **{f'P{number}': (f'P_rect_0{number}', ) for number in range(4)})

KittiValue = Union[np.ndarray, str]
MAX_DISTANCE = 5.  # between camera and LiDAR, metres
ROLLED_DEG, UPRIGHT_DEG = 15., 30.
MIN_SHARE = 0.002  # share of the points in view; even a 10 degree camera has more
DIRECTIONS = {(0, 1): 'forward', (0, -1): 'backward', (1, 1): 'left', (1, -1): 'right',
              (2, 1): 'up', (2, -1): 'down'}
AXES = 'LiDAR x forward, y left, z up; camera x right, y down, z forward; metres'


def read_kitti_calibration(path: str) -> dict[str, KittiValue]:
    """Read a calibration of KITTI: lines of ``NAME: number number ...``.

    Tracking leaves the colon out of some lines; raw recordings have a ``calib_time`` that is text.

    Args:
        path: File of the odometry, object, tracking or raw data.

    Returns:
        Numbers of each name, float64; the text if it is not numeric.

    Raises:
        DataLayoutError: If it is no text.
    """
    values: dict[str, KittiValue] = {}
    with open(path, encoding='utf-8') as file, reading(path, 'a calibration of KITTI'):
        for line in file:
            match = KITTI_LINE.match(line)
            if not match:
                continue
            name, text = match.groups()
            try:
                values[name] = np.array(text.split(), dtype=np.float64)
            except ValueError:
                values[name] = text.strip()
    return values


def take_matrix(values: dict[str, KittiValue], name: str, rows: int, cols: int,
                path: str) -> np.ndarray:
    """Return one matrix of a KITTI calibration.

    Args:
        values: Result of :func:`read_kitti_calibration`.
        name: Name of the matrix, e.g. ``'P2'``; KITTI's other names for it are tried, too.
        rows: Number of rows.
        cols: Number of columns.
        path: Path of the file, for the message.

    Returns:
        (rows, cols) matrix, float64.

    Raises:
        ValueError: If the name is absent or does not have rows * cols finite numbers.
    """
    names = (name, *KITTI_ALIASES.get(name, ()))
    known = next((name for name in names if name in values), None)
    if known is None:
        raise ValueError(f"calibration '{path}': expected a line '{' or '.join(names)}: ...' with "
                         f'{rows * cols} numbers, found only {sorted(values)}.')
    numbers = values[known]
    if isinstance(numbers, str):
        raise ValueError(f"calibration '{path}': expected numbers after '{known}:', found "
                         f"'{numbers}'.")
    if numbers.size != rows * cols or not np.isfinite(numbers).all():
        raise ValueError(f"calibration '{path}': expected {rows * cols} finite numbers after "
                         f"'{known}:', found {np.isfinite(numbers).sum()} in {numbers.size} "
                         'values.')
    return numbers.reshape(rows, cols)


def kitti_lidar2ref(values: dict[str, KittiValue], path: str) -> np.ndarray:
    """Return the (4, 4) transform from the LiDAR to the rectified reference camera.

    This is ``Tr`` for odometry and ``R0_rect @ Tr_velo_to_cam`` for the object data; tracking and
    raw data have other names for the latter.

    Raises:
        ValueError: See :func:`take_matrix`.
    """
    if 'Tr' in values:
        return homogeneous(take_matrix(values, 'Tr', 3, 4, path))
    if 'R' in values and 'T' in values:  # calib_velo_to_cam.txt
        lidar2cam = np.column_stack([take_matrix(values, 'R', 3, 3, path),
                                     take_matrix(values, 'T', 3, 1, path)])
    else:
        lidar2cam = take_matrix(values, 'Tr_velo_to_cam', 3, 4, path)
    return homogeneous(take_matrix(values, 'R0_rect', 3, 3, path)) @ homogeneous(lidar2cam)


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    """Extend a (3, 3) rotation or (3, 4) rigid transform to (4, 4)."""
    extended = np.eye(4)
    extended[:3, :matrix.shape[1]] = matrix
    return extended


def kitti_camera(projection: np.ndarray, lidar2ref: np.ndarray,
                 where: str) -> dict[str, np.ndarray]:
    """Return intrinsics and extrinsics of a rectified KITTI camera.

    The projection matrix is P = K [I | s], where s = K^-1 P[:, 3] is the shift from the frame of
    the reference camera in metres. Hence ``lidar2cam = [I | s] @ lidar2ref``.

    Args:
        projection: (3, 4) matrix P, reference camera coordinates to pixels.
        lidar2ref: (4, 4) transform from the LiDAR to the rectified reference camera.
        where: File and key, for the message.

    Returns:
        ``cam2img`` (3, 3) and ``lidar2cam`` (4, 4), float64.

    Raises:
        ValueError: If the intrinsics of P or the rotation of ``lidar2ref`` are invalid.
    """
    cam2img = check_cam2img(projection[:, :3], where)
    shift = np.eye(4)
    shift[:3, 3] = np.linalg.solve(cam2img, projection[:, 3])
    return dict(cam2img=cam2img, lidar2cam=check_lidar2cam(shift @ lidar2ref, where))


def check_cam2img(cam2img: Any, where: str) -> np.ndarray:
    """Check an intrinsic matrix.

    Args:
        cam2img: (3, 3) matrix or nested lists, or (4, 4), extended by a row and a column of the
            identity.
        where: File and key, for the message.

    Returns:
        (3, 3) float64.

    Raises:
        ValueError: If it is not finite, not upper triangular, or a focal length is not positive.
    """
    matrix = _as_matrix(cam2img, ((3, 3), (4, 4)), where)
    if len(matrix) == 4 and (matrix != homogeneous(matrix[:3, :3])).any():
        raise ValueError(f'{where}: expected 0, 0, 0, 1 in the fourth row and column of cam2img, '
                         f'found {matrix.tolist()}; of a projection matrix P = [K | p], cam2img is '
                         'K, and K^-1 p is to be added to the translation of lidar2cam.')
    matrix = matrix[:3, :3]
    lower = np.abs(matrix[[1, 2, 2], [0, 0, 1]]).max()
    if lower > 0 or matrix[2, 2] != 1 or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise ValueError(f'{where}: expected intrinsics [[fx, s, cx], [0, fy, cy], [0, 0, 1]] with '
                         f'positive focal lengths, found {matrix.tolist()}.')
    return matrix


def check_lidar2cam(lidar2cam: Any, where: str) -> np.ndarray:
    """Check a rigid transform from LiDAR to camera.

    Args:
        lidar2cam: (4, 4) or (3, 4) matrix or nested lists, translation in metres.
        where: File and key, for the message.

    Returns:
        (4, 4) float64.

    Raises:
        ValueError: If it is not finite, its rotation part is not a rotation, or its last row is not
            0, 0, 0, 1.
    """
    matrix = _as_matrix(lidar2cam, ((4, 4), (3, 4)), where)
    if len(matrix) == 4 and np.abs(matrix[3] - (0, 0, 0, 1)).max() > ROTATION_TOLERANCE:
        raise ValueError(f'{where}: expected the last row 0, 0, 0, 1 in lidar2cam, found '
                         f'{matrix[3].tolist()}; is it transposed?')
    matrix = homogeneous(matrix[:3])
    rotation = matrix[:3, :3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise ValueError(
            f'{where}: expected a rotation in the upper left 3x3 of lidar2cam, found '
            f'{rotation.tolist()} (|R R^T - I| = {error:.2g}, determinant '
            f'{np.linalg.det(rotation):.2g}).')
    return matrix


def _as_matrix(value: Any, shapes, where: str) -> np.ndarray:
    """Return a finite float64 matrix of one of the shapes."""
    expected = ' or '.join(f'{rows}x{cols}' for rows, cols in shapes)
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f'{where}: expected a {expected} matrix of numbers, '
                         f'found {value!r}.') from None
    if matrix.shape not in shapes or not np.isfinite(matrix).all():
        raise ValueError(f'{where}: expected a {expected} matrix of finite numbers, '
                         f'found shape {matrix.shape}: {matrix.tolist()}.')
    return matrix


def check_pose(points: np.ndarray, lidar2cam: np.ndarray, cam2img: np.ndarray,
               size: tuple[int, int], where: str) -> None:
    """Warn once if a pose looks wrong: inverted, in other units, or with nothing in view.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres.
        lidar2cam: (4, 4) extrinsics.
        cam2img: (3, 3) intrinsics.
        size: (width, height) of the image.
        where: Name of the camera, for the message.
    """
    findings = find_faults(points, lidar2cam, cam2img, size)
    if findings:
        warn_once(f'{where}: lidar2cam looks wrong: {"; ".join(findings)}. It must map '
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
    # An inverse that is tilted proves nothing: that of most correct poses is.
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
    pixels, depth = project_points(*(np.asarray(value, np.float64)
                                     for value in (points[:, :3], lidar2cam, cam2img)))
    return float(in_view(pixels, depth, size[1], size[0]).mean())
