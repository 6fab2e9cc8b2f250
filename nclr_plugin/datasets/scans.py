"""Checks of scans: valid measurements only, with intensities in 0..1.

Training, testing and calibration pass all scans through :func:`drop_invalid_rows`,
:func:`check_columns` and :func:`scale_intensity`.
"""
from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from ..errors import BrokenFrameError, ScanColumnsError, ScanError
from .scan_files import DIM_OPTION, read_columns

MIN_RANGE = 0.3  # metres; closer points are on the cover of the sensor
MIN_POINTS = 30  # smallest number of points of a usable scan
PERCENTILE = 99  # of the intensities, robust against single bright points
LARGEST = (1, 255, 65535)  # largest intensities: fractions, 8 bits, 16 bits
LEEWAY = 1.01  # tolerance above the largest intensity: some tools divide 256 steps by 255
TOO_BRIGHT, TOO_DARK = 2., 1 / 255  # limits of the percentile of correctly scaled intensities
MAX_RINGS = 300  # largest number of rings; coordinates in metres take more values
SCALE_OPTION = ('lidar.intensity_scale in rig.yaml, --intensity-scale on the command line, '
                'intensity_scale in Python')
HASH = np.array([1., 1e3 * np.sqrt(2), 1e6 * np.sqrt(3)])  # rarely the same product for two points
MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: spreads the bits of a number over all higher bits
BUCKET_BITS = 20


class DroppedRows(NamedTuple):
    """Numbers of invalid rows of a scan.

    Attributes:
        total: Number of all rows.
        not_finite: Rows with NaN or infinity in a coordinate.
        no_intensity: Rows with NaN or infinity in another column only.
        zero: Rows at the origin, which drivers write for beams without a return.
        near: Other rows closer to the sensor than :data:`MIN_RANGE`.
        repeated: Rows with the coordinates of an earlier row.
    """
    total: int
    not_finite: int = 0
    no_intensity: int = 0
    zero: int = 0
    near: int = 0
    repeated: int = 0

    @property
    def count(self) -> int:
        """Number of all invalid rows."""
        return sum(self[1:])

    def __str__(self) -> str:
        kinds = ('with NaN or infinity', 'with NaN or infinity as their intensity',
                 'at the origin (0, 0, 0)', f'nearer to the sensor than {MIN_RANGE} m',
                 'that repeat an earlier one')
        return (f'{self.count} of {self.total} rows are no measurement: ' + ', '.join(
            f'{count} {kind}' for count, kind in zip(self[1:], kinds) if count))


def read_scan(results: dict, use_dim: int) -> np.ndarray:
    """Read the valid points of a scan, see :class:`~nclr_plugin.datasets.LoadPoints`.

    Args:
        results: Dict with ``frame_id``, ``lidar_path``, ``lidar_dim`` and optionally
            ``intensity_scale``.
        use_dim: Number of leading columns to keep.

    Returns:
        (N, use_dim) float32, with the intensity scaled to 0..1.

    Raises:
        BrokenFrameError: See the class.
        ValueError: If the scan has fewer columns.
    """
    try:
        return load_points(results, use_dim)[0]
    except ScanError as error:
        raise BrokenFrameError(results['frame_id'], str(error)) from error


def load_points(results: dict, use_dim: int) -> tuple[np.ndarray, DroppedRows]:
    """Read the valid points of a scan and count the invalid rows; see :func:`read_scan`.

    Raises:
        ScanError: In place of ``BrokenFrameError``.
    """
    path, lidar_dim = results['lidar_path'], results['lidar_dim']
    if use_dim > lidar_dim:
        raise ValueError(f"LoadPoints: use_dim is {use_dim}, but a point of '{path}' has "
                         f'{lidar_dim} columns; lower use_dim.')
    points = read_columns(path, lidar_dim)[:, :use_dim]
    if points.shape[1] < use_dim:
        raise ScanColumnsError(f"scan '{path}': expected a field named intensity beside x, y and "
                               'z, found none; lower use_dim of LoadPoints, or convert it.')
    name = f"scan '{path}'"
    points, dropped = drop_invalid_rows(points, name)
    check_columns(points, name)
    if use_dim > 3:
        points = scale_intensity(points, results.get('intensity_scale', 1.), name)
    return np.ascontiguousarray(points), dropped


def drop_invalid_rows(points: np.ndarray, name: str = 'scan',
                      min_points: int = MIN_POINTS) -> tuple[np.ndarray, DroppedRows]:
    """Drop the invalid rows of a scan.

    Drivers write a beam without a return as NaN or (0, 0, 0), or repeat a point. Points within
    0.3 m are on the cover of the sensor.

    Args:
        points: (N, C) float32: x, y, z in metres, relative to the sensor, and other columns.
        name: Name of the scan, for the message.
        min_points: Smallest number of valid points.

    Returns:
        tuple: Valid rows (M, C), in their order, and the numbers of dropped rows.

    Raises:
        ScanError: If fewer than ``min_points`` are left.
    """
    finite = np.isfinite(points)
    # Column by column, which takes a tenth of the time of all(axis=1).
    placed = np.logical_and.reduce(list(finite[:, :3].T))
    valid = np.logical_and.reduce([placed, *finite[:, 3:].T])
    x, y, z = (np.where(placed, points[:, axis], 0.).astype(np.float64) for axis in range(3))
    squared = x * x + y * y + z * z
    zero = valid & (squared == 0)
    near = valid & (squared < MIN_RANGE**2) & ~zero
    keep = valid & ~zero & ~near
    repeated = keep & _repeats(points, keep)
    dropped = DroppedRows(len(points), *(int(np.count_nonzero(rows)) for rows in (
        ~placed, placed & ~valid, zero, near, repeated)))
    left = len(points) - dropped.count
    if left < min_points:
        message = f'{name}: expected at least {min_points} points, found {left}'
        if dropped.count:
            message += f'; {dropped}'
        if dropped.near > left:
            message += ' (metres are expected: is the scan in kilometres, or in a unit box?)'
        raise ScanError(f'{message}.')
    if not dropped.count:
        return points, dropped
    return points.take(np.flatnonzero(keep & ~repeated), axis=0), dropped


def _repeats(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return a mask (N,) of the rows, among the masked ones, that repeat an earlier one of them."""
    rows = np.flatnonzero(mask)
    repeats = np.zeros(len(points), dtype=bool)
    xyz = points[:, :3] if mask.all() else points[rows, :3]
    x, y, z = xyz.T.astype(np.float64)  # in float32 some codes are equal by chance
    code = x * HASH[0] + y * HASH[1] + z * HASH[2]
    # Counting equal hashes leaves few rows to sort.
    bucket = (code.view(np.uint64) * MIX >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    shared = np.flatnonzero(np.bincount(bucket, minlength=1 << BUCKET_BITS)[bucket] > 1)
    order = shared[np.argsort(code[shared], kind='stable')]
    same = (xyz[order[1:]] == xyz[order[:-1]]).all(axis=1)
    repeats[rows[order[1:][same]]] = True
    return repeats


def check_columns(points: np.ndarray, name: str = 'scan') -> None:
    """Check that coordinates and intensities are plausible.

    Args:
        points: (N, 3 or more), finite: x, y, z, optionally intensity, and others.
        name: Name of the scan, for the message.

    Raises:
        ScanColumnsError: If all values of a coordinate are integers, like ring numbers, or if more
            than 1% of the intensities are negative.
    """
    for axis, values in zip('xyz', points[:, :3].T):
        if values[0] == np.rint(values[0]) and (values == np.rint(values)).all():
            numbers = np.unique(values)
            if 1 < len(numbers) <= MAX_RINGS:
                raise ScanColumnsError(
                    f'{name}: expected metres as {axis}, found whole numbers from {numbers[0]:.0f} '
                    f'to {numbers[-1]:.0f} only, as ring numbers are; the columns must be x, y, '
                    f'z, intensity, and others; set their number ({DIM_OPTION}).')
    if points.shape[1] > 3:
        low = np.percentile(_sample(points[:, 3]), 100 - PERCENTILE)
        if low < 0:
            raise ScanColumnsError(
                f'{name}: expected intensities in the fourth column, found '
                f'{points[:, 3].min():.4g} ... {points[:, 3].max():.4g}, which look like '
                f'coordinates: the columns must be x, y, z, intensity, and others; set their '
                f'number ({DIM_OPTION}).')


def intensity_level(intensity: np.ndarray) -> float:
    """Return the 99th percentile of intensities (N,)."""
    return float(np.percentile(_sample(intensity), PERCENTILE))


def guess_intensity_scale(levels: Sequence[float]) -> float | None:
    """Guess whether intensities are fractions, 8-bit or 16-bit numbers.

    Args:
        levels: :func:`intensity_level` of each scan; their median counts.

    Returns:
        Factor 1, 1/255 or 1/65535 that scales them to 0..1; ``None`` for larger intensities.
    """
    level = float(np.median(levels))
    return next((1 / largest for largest in LARGEST if level <= largest * LEEWAY), None)


def fits_intensity_scale(level: float, scale: float) -> bool:
    """Return whether a scale brings a level of intensities to at most 1, but not close to 0."""
    return level == 0 or TOO_DARK < level * scale <= LEEWAY


def scale_intensity(points: np.ndarray, scale: float, name: str = 'scan') -> np.ndarray:
    """Scale the intensities of a scan to 0..1.

    Args:
        points: (N, 4 or more) float32 with the intensity in the fourth column.
        scale: Factor; brighter points are clipped to 1.
        name: Name of the scan, for the message.

    Returns:
        Copy of the points with scaled intensities.

    Raises:
        ScanColumnsError: If the scaled intensities are far above 1.
    """
    level = intensity_level(points[:, 3])
    if level * scale > TOO_BRIGHT:
        fitting = guess_intensity_scale([level])
        advice = '' if fitting is None else f'; {fitting:.7g} would fit intensities of that size'
        raise ScanColumnsError(
            f'{name}: expected intensities that an intensity_scale of {scale:.7g} turns into 0..1, '
            f'found {PERCENTILE}% of them up to {level:.4g}; set {SCALE_OPTION}{advice}.')
    scaled = points.copy()
    scaled[:, 3] = np.clip(points[:, 3] * np.float32(scale), 0, 1)
    return scaled


def evenly_spaced(frames: Sequence, count: int = 8) -> list:
    """Return evenly spaced frames, including the first and the last."""
    indices = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[index] for index in indices]


def _sample(values: np.ndarray) -> np.ndarray:
    """Return evenly spaced values (N,), enough for a percentile."""
    return values[::max(1, len(values) // 10000)]
