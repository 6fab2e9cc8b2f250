"""Scans from the files that LiDAR tools write: .bin, .npy, .pcd, .ply."""
from __future__ import annotations

import os
from typing import Any, Dict

import numpy as np

from ..datasets.errors import BrokenFrameError
from ..datasets.transforms.loading import read_scan
from ..utils.optional import optional_import
from .errors import CalibrationInputError

SUFFIXES = ('.bin', '.npy', '.pcd', '.ply')
INTENSITIES = ('intensity', 'i', 'reflectance', 'reflectivity', 'scalar_intensity')
PCD_KINDS = dict(F='f', I='i', U='u')


def load_scan(path: str, lidar_dim: int = 4) -> np.ndarray:
    """The points of a file.

    Args:
        path: ``.bin`` (raw float32 rows), ``.npy`` (N, lidar_dim), ``.pcd`` (ascii or binary) or
            ``.ply``, whose fields are told by their names.
        lidar_dim: Columns of a raw file: x, y, z, intensity, and others that are left out.

    Returns:
        (N, 4) float32 x, y, z, intensity as the file has it; (N, 3) when it has none. NaN stay.

    Raises:
        CalibrationInputError: If there is no such file, or it cannot be read.
        ImportError: For ``.ply`` without plyfile.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise CalibrationInputError(f"scan '{path}': expected a file that ends in one of "
                                    f"{', '.join(SUFFIXES)}, found '{suffix}'; convert it.")
    if not os.path.isfile(path):
        raise CalibrationInputError(f"scan '{path}': expected a file, found none.")
    if suffix in ('.bin', '.npy'):
        try:
            return read_scan(dict(frame_id=path, lidar_path=path, lidar_dim=lidar_dim),
                             min(lidar_dim, 4), finite=False)
        except BrokenFrameError as error:
            raise CalibrationInputError(f'{error.reason} (columns: lidar_dim, {lidar_dim})') \
                from error
    fields = (_read_pcd if suffix == '.pcd' else _read_ply)(path)
    by_name = {name.lower(): name for name in fields}
    if not all(axis in by_name for axis in 'xyz'):
        raise CalibrationInputError(
            f"scan '{path}': expected the fields x, y and z, found {list(fields)}.")
    columns = ['x', 'y', 'z', *[name for name in INTENSITIES if name in by_name][:1]]
    return np.stack([np.asarray(fields[by_name[name]], np.float32) for name in columns], 1)


def _read_ply(path: str) -> Dict[str, np.ndarray]:
    plyfile = optional_import('plyfile', purpose='Reading .ply files')
    try:
        vertices = plyfile.PlyData.read(path)['vertex'].data
    except (plyfile.PlyParseError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise CalibrationInputError(
            f"scan '{path}': expected a PLY file with vertices, found: {error}.") from error
    return {name: vertices[name] for name in vertices.dtype.names}


def _read_pcd(path: str) -> Dict[str, np.ndarray]:
    with open(path, 'rb') as stream:
        header: Dict[str, Any] = {}
        for line in stream:
            key, *values = line.decode('ascii', 'replace').split() or ['#']
            if not key.startswith('#'):
                header[key] = values
            if key == 'DATA' or len(header) > 20:
                break
        body = stream.read()
    try:
        counts = map(int, header.get('COUNT', ['1'] * len(header['FIELDS'])))
        layout = np.dtype({
            'names': _distinct(header['FIELDS']),
            'formats': [(f'<{PCD_KINDS[kind]}{size}', (int(count), )) for kind, size, count in zip(
                header['TYPE'], header['SIZE'], counts)]})
        count, data = int(header['POINTS'][0]), header['DATA'][0]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise CalibrationInputError(f"scan '{path}': expected the header of a PCD file (FIELDS, "
                                    f'SIZE, TYPE, POINTS, DATA), found a fault at {error}.') \
            from error
    if data == 'binary':
        if len(body) < count * layout.itemsize:
            raise CalibrationInputError(
                f"scan '{path}': expected {count} points of {layout.itemsize} bytes, found "
                f'{len(body)} bytes: it is cut off.')
        rows = np.frombuffer(body, layout, count)
        return {name: rows[name][:, 0] for name in layout.names}
    if data != 'ascii':
        raise CalibrationInputError(
            f"scan '{path}': expected DATA ascii or binary, found {data}; convert it by "
            'pcl_convert_pcd_ascii_binary IN OUT 1.')
    width = sum(layout[name].shape[0] for name in layout.names)
    try:
        table = np.array(body.split(), np.float64).reshape(count, width)
    except ValueError as error:
        raise CalibrationInputError(f"scan '{path}': expected {count} lines of {width} numbers, "
                                    f'found: {error}.') from error
    starts = np.cumsum([0] + [layout[name].shape[0] for name in layout.names])
    return {name: table[:, start] for name, start in zip(layout.names, starts)}


def _distinct(names: list) -> list:
    """PCL pads points by fields that are all named ``_``."""
    return [name if name != '_' else f'_{place}' for place, name in enumerate(names)]
