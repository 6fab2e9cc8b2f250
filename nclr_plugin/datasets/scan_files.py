"""Scans from the files that LiDAR tools write: .bin, .npy, .pcd, .ply."""
from __future__ import annotations

import os
from typing import Callable, Dict, Optional

import numpy as np

from ..utils.optional import optional_import
from ..errors import ScanColumnsError, ScanError
from .pcd import read_pcd

RAW_SUFFIXES = ('.bin', '.npy')
SUFFIXES = (*RAW_SUFFIXES, '.pcd', '.ply')
INTENSITIES = ('intensity', 'i', 'reflectance', 'reflectivity', 'scalar_intensity')
FLOAT_BYTES = 4
WIDTHS = range(3, 11)  # columns that a raw file may have
PROBED = 2**14  # values by which the columns of a raw file are told
MISFIT = 3.  # times as far from the row before as by another number of columns
DIM_OPTION = 'lidar.dim in rig.yaml, --lidar-dim on the command line, lidar_dim in Python'


def read_columns(path: str, lidar_dim: int = 4) -> np.ndarray:
    """Read the rows of a scan as the file has them.

    Args:
        path: ``.bin`` (raw float32 rows), ``.npy`` (N, lidar_dim), ``.pcd`` (ascii, binary or
            binary_compressed) or ``.ply``, in any case of letters.
        lidar_dim: Columns of ``.bin`` and ``.npy``; ``.pcd`` and ``.ply`` name their fields.

    Returns:
        (N, lidar_dim) float32 of ``.bin`` and ``.npy``. Of ``.pcd`` and ``.ply`` (N, 4), x, y, z,
        intensity, or (N, 3) where no field is an intensity. Rows that are no measurement (NaN,
        zeros) are still among them, see :func:`~nclr_plugin.datasets.scans.drop_invalid_rows`.

    Raises:
        ScanError: If there is no such file, or it cannot be read.
        ScanColumnsError: If the rows of the file have another number of columns.
        ImportError: For ``.ply`` without plyfile.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise ScanError(f"scan '{path}': expected a file that ends in one of "
                        f"{', '.join(SUFFIXES)}, found '{suffix}'; convert it.")
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        found = 'none' if not os.path.exists(path) else 'something unreadable'
        raise ScanError(f"scan '{path}': expected a file, found {found}.")
    if suffix in RAW_SUFFIXES:
        points = (_read_bin if suffix == '.bin' else _read_npy)(path, lidar_dim)
    else:
        points = _read_named(path, _read_pcd if suffix == '.pcd' else _read_ply)
    if len(points) == 0:
        raise ScanError(f"scan '{path}': expected points, found none.")
    with np.errstate(over='ignore'):  # to infinity, which is dropped
        return np.ascontiguousarray(points, dtype=np.float32)


def _read_bin(path: str, lidar_dim: int) -> np.ndarray:
    size, row = os.path.getsize(path), FLOAT_BYTES * lidar_dim
    if size % row:
        others = [width for width in WIDTHS if size % (FLOAT_BYTES * width) == 0]
        finding = (f"scan '{path}': expected rows of {lidar_dim} float32 numbers ({row} bytes), "
                   f'found {size} bytes, {size % row} too many: ')
        if not others:
            raise ScanError(f'{finding}it is cut off or has other columns ({DIM_OPTION}).')
        raise ScanColumnsError(
            f'{finding}it is cut off, or a point has {" or ".join(map(str, others))} columns, '
            f'which would fit; say so by {DIM_OPTION}.')
    values = np.fromfile(path, dtype=np.float32)
    width = _better_width(values, lidar_dim)
    if width is not None:
        raise ScanColumnsError(
            f"scan '{path}': expected rows of {lidar_dim} numbers, but the numbers repeat as rows "
            f'of {width} do; say so by {DIM_OPTION}.')
    return values.reshape(-1, lidar_dim)


def _better_width(values: np.ndarray, width: int) -> Optional[int]:
    """Return the number of columns that the values speak for, if it is surely not ``width``.

    Points that follow one another are near one another, while x, y, z and intensity differ.
    """
    start = max(0, (len(values) - PROBED) // 2)
    values = values[start:start + PROBED].astype(np.float64)

    def step(lag: int) -> float:
        with np.errstate(invalid='ignore'):
            steps = np.abs(values[lag:] - values[:-lag])
        steps = steps[np.isfinite(steps)]
        return float(np.median(steps)) if len(steps) else 0.

    # A multiple of the right width is no worse, and better where lasers fire in turns.
    steps = {other: step(other) for other in WIDTHS if other % width}
    best = min(steps, key=steps.get)
    return best if step(width) > MISFIT * steps[best] else None


def _read_npy(path: str, lidar_dim: int) -> np.ndarray:
    try:
        points = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ScanError(f"scan '{path}': expected a NumPy array, found: {error}") from error
    if points.ndim != 2 or points.dtype.kind != 'f':
        raise ScanError(
            f"scan '{path}': expected floating-point numbers of shape (N, {lidar_dim}), found "
            f'{points.dtype} of shape {points.shape}.')
    if points.shape[1] != lidar_dim:
        raise ScanColumnsError(
            f"scan '{path}': expected floating-point numbers of shape (N, {lidar_dim}), found "
            f'{points.dtype} of shape {points.shape}; say so by {DIM_OPTION}.')
    return points


def _read_named(path: str, read: Callable[[str], Dict[str, np.ndarray]]) -> np.ndarray:
    fields = read(path)
    by_name = {name.lower(): name for name in fields}
    if not all(axis in by_name for axis in 'xyz'):
        raise ScanError(f"scan '{path}': expected the fields x, y and z, found {list(fields)}.")
    columns = ['x', 'y', 'z', *[name for name in INTENSITIES if name in by_name][:1]]
    with np.errstate(over='ignore'):
        return np.stack([np.asarray(fields[by_name[name]], np.float32) for name in columns], 1)


def _read_pcd(path: str) -> Dict[str, np.ndarray]:
    try:
        return read_pcd(path)
    except ValueError as error:
        raise ScanError(f"scan '{path}': {error}.") from error


def _read_ply(path: str) -> Dict[str, np.ndarray]:
    plyfile = optional_import('plyfile', purpose='Reading .ply files')
    try:
        vertices = plyfile.PlyData.read(path)['vertex'].data
    except (plyfile.PlyParseError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise ScanError(
            f"scan '{path}': expected a PLY file with vertices, found: {error}.") from error
    return {name: vertices[name] for name in vertices.dtype.names}
