"""Read scans from .bin, .npy, .pcd and .ply files."""
from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO, Callable, Iterable

import numpy as np

from ..errors import ScanColumnsError, ScanError
from ..utils.optional import optional_import

RAW_SUFFIXES = ('.bin', '.npy')
SUFFIXES = (*RAW_SUFFIXES, '.pcd', '.ply')
INTENSITIES = ('intensity', 'intensities', 'i', 'reflectance', 'reflectivity', 'remission',
               'scalar_intensity')
FLOAT_BYTES = 4
WIDTHS = range(3, 11)  # possible numbers of columns of a raw file
PCD_KINDS = dict(F='f', I='i', U='u')  # codes of numpy
PCD_HEADER_LINES = 20
PROBED = 2**14  # number of values that are compared to find the number of columns
MISFIT = 3.  # ratio of median steps between rows above which another number of columns is right
MAX_TURN_DEG = 5.  # median azimuth step between rows of a scan in order
SAME_DISTRIBUTION = 0.1  # maximum Kolmogorov-Smirnov statistic of coordinates
SAME_STEPS = 0.6  # likewise of steps; steps of lasers that fire in turns are unequal
MIN_ROWS = 200  # needed for the comparison
DIM_OPTION = 'lidar.dim in rig.yaml, --lidar-dim on the command line, lidar_dim in Python'


def read_columns(path: str, lidar_dim: int = 4) -> np.ndarray:
    """Read the rows of a scan file.

    Args:
        path: ``.bin`` (raw float32 rows), ``.npy`` (N, lidar_dim), ``.pcd`` (ascii, binary or
            binary_compressed) or ``.ply``; the case of the suffix does not matter.
        lidar_dim: Number of columns of ``.bin`` and ``.npy`` files.

    Returns:
        (N, lidar_dim) float32 for ``.bin`` and ``.npy``. For ``.pcd`` and ``.ply`` (N, 4): x, y, z,
        intensity; or (N, 3) if there is no intensity field. Invalid rows (NaN, zeros) are included,
        see :func:`~nclr_plugin.datasets.scans.drop_invalid_rows`.

    Raises:
        ScanError: If the file is absent or cannot be read.
        ScanColumnsError: If its rows have another number of columns.
        ImportError: If plyfile, for ``.ply``, is not installed.
    """
    if lidar_dim < 3:
        raise ScanError(f"scan '{path}': expected rows of at least x, y and z, found lidar_dim = "
                        f'{lidar_dim}; set {DIM_OPTION}.')
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
    with np.errstate(over='ignore'):  # infinite values are dropped later
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
            f'which would fit; set {DIM_OPTION}.')
    values = np.fromfile(path, dtype=np.float32)
    width = _better_width(values, lidar_dim) or _narrower_width(values, lidar_dim)
    if width is not None:
        raise ScanColumnsError(
            f"scan '{path}': expected rows of {lidar_dim} numbers, but the numbers repeat as rows "
            f'of {width} do; set {DIM_OPTION}.')
    return values.reshape(-1, lidar_dim)


def _better_width(values: np.ndarray, width: int) -> int | None:
    """Return the number of columns that fits the values clearly better than ``width``, or ``None``.

    With the right number, successive rows differ least: successive points are close to each other.
    """
    start = max(0, (len(values) - PROBED) // 2)
    values = values[start:start + PROBED].astype(np.float64)

    def step(lag: int) -> float:
        with np.errstate(invalid='ignore'):
            steps = np.abs(values[lag:] - values[:-lag])
        steps = steps[np.isfinite(steps)]
        return float(np.median(steps)) if len(steps) else 0.

    # Multiples of the right width fit, too, and even better if the lasers take turns.
    steps = {other: step(other) for other in WIDTHS if other % width}
    best = min(steps, key=steps.get)
    return best if step(width) > MISFIT * steps[best] else None


def _narrower_width(values: np.ndarray, width: int) -> int | None:
    """Return the number of columns of a point if a row of ``width`` holds two or more points."""
    start = max(0, (len(values) - PROBED) // 2 // width * width)
    values = values[start:start + PROBED // width * width].astype(np.float64)
    for narrower in WIDTHS:
        if narrower < width and width % narrower == 0 and _are_points(
                values.reshape(-1, narrower)[:, :3], width // narrower):
            return narrower
    return None


def _are_points(xyz: np.ndarray, per_row: int) -> bool:
    """Return whether each of the ``per_row`` triples of a row is a point.

    The triples are points if their azimuths follow one another, as in a scan in order, or if those
    at each place in a row have the same distribution, as in a shuffled one. Steps within a row
    must be like those from row to row: otherwise the triples belong to one point, such as its
    coordinates before and after a correction.

    Args:
        xyz: (N * per_row, 3).
        per_row: Number of triples in a row.
    """
    valid = np.isfinite(xyz).all(1) & xyz[:, :2].any(1)
    azimuth = np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0]))
    turn = np.abs((azimuth[1:] - azimuth[:-1] + 180) % 360 - 180)
    first = np.flatnonzero(valid[1:] & valid[:-1])
    last_of_row = first % per_row == per_row - 1
    places = [xyz[place::per_row][valid[place::per_row]] for place in range(per_row)]
    if min(map(len, (*places, first[last_of_row], first[~last_of_row]))) < MIN_ROWS:
        return False
    steps = np.linalg.norm(xyz[first + 1] - xyz[first], axis=1)
    if not np.median(steps) or _ks_statistic(
            steps[~last_of_row], steps[last_of_row]) > SAME_STEPS:
        return False
    return np.median(turn[first]) < MAX_TURN_DEG or all(
        _ks_statistic(places[0][:, axis], other[:, axis]) < SAME_DISTRIBUTION
        for other in places[1:] for axis in range(3))


def _ks_statistic(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sample Kolmogorov-Smirnov statistic."""
    every = np.sort(np.concatenate((first, second)))
    shares = [np.searchsorted(np.sort(values), every, side='right') / len(values)
              for values in (first, second)]
    return float(np.abs(np.subtract(*shares)).max())


def _read_npy(path: str, lidar_dim: int) -> np.ndarray:
    try:
        points = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged header raises errors of the parsers of Python and of zip
        raise ScanError(f"scan '{path}': expected a NumPy array, found: {error}") from error
    if not isinstance(points, np.ndarray):
        raise ScanError(f"scan '{path}': expected a NumPy array, found an archive of several.")
    if points.ndim != 2 or points.dtype.kind != 'f':
        raise ScanError(
            f"scan '{path}': expected floating-point numbers of shape (N, {lidar_dim}), found "
            f'{points.dtype} of shape {points.shape}.')
    if points.shape[1] != lidar_dim:
        raise ScanColumnsError(
            f"scan '{path}': expected floating-point numbers of shape (N, {lidar_dim}), found "
            f'{points.dtype} of shape {points.shape}; set {DIM_OPTION}.')
    return points


def column_fields(names: Iterable[str], where: str) -> list[str]:
    """Return which fields of a point hold x, y, z and, if there is one, the intensity.

    Args:
        names: Names of the fields; their case does not matter.
        where: Name of the scan, for the message.

    Raises:
        ScanError: If there is no x, y or z.
    """
    by_name = {name.lower(): name for name in names}
    if not all(axis in by_name for axis in 'xyz'):
        raise ScanError(f'{where}: expected the fields x, y and z, found {list(by_name.values())}.')
    return [by_name[name] for name in (
        'x', 'y', 'z', *[name for name in INTENSITIES if name in by_name][:1])]


def _read_named(path: str, read: Callable[[str], dict[str, np.ndarray]]) -> np.ndarray:
    fields = read(path)
    columns = column_fields(fields, f"scan '{path}'")
    with np.errstate(over='ignore'):
        return np.stack([np.asarray(fields[name], np.float32) for name in columns], 1)


def _read_pcd(path: str) -> dict[str, np.ndarray]:
    try:
        return read_pcd(path)
    except ValueError as error:
        raise ScanError(f"scan '{path}': {error}.") from error


def _read_ply(path: str) -> dict[str, np.ndarray]:
    plyfile = optional_import('plyfile', purpose='Reading .ply files')
    try:
        vertices = plyfile.PlyData.read(path)['vertex'].data
    except (plyfile.PlyParseError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise ScanError(
            f"scan '{path}': expected a PLY file with vertices, found: {error}.") from error
    return {name: vertices[name] for name in vertices.dtype.names}


def read_pcd(path: str) -> dict[str, np.ndarray]:
    """Read the fields of a PCD file.

    Args:
        path: File with ``DATA`` ascii, binary or binary_compressed.

    Returns:
        Array (N,) by field name, with the type of the field; for a field of ``COUNT`` n its first
        value. NaN are kept. Names of padding begin with ``_``.

    Raises:
        ValueError: If the file is not a PCD file, or cut off. The message does not name the file.
    """
    with open(path, 'rb') as stream:
        header = _read_header(stream)
        body = stream.read()
    try:
        counts = map(int, header.get('COUNT', ['1'] * len(header['FIELDS'])))
        layout = np.dtype({
            'names': _distinct(header['FIELDS']),
            'formats': [(f'<{PCD_KINDS[kind]}{size}', (int(count), )) for kind, size, count in zip(
                header['TYPE'], header['SIZE'], counts)]})
        count, data = int(header['POINTS'][0]), header['DATA'][0].lower()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ValueError('expected the header of a PCD file (FIELDS, SIZE, TYPE, POINTS, DATA), '
                         f'found an error at {error}') from error
    if data == 'ascii':
        return _parse_ascii(body, layout, count)
    if data == 'binary':
        if len(body) < count * layout.itemsize:
            raise ValueError(f'expected {count} points of {layout.itemsize} bytes, found '
                             f'{len(body)} bytes: it is cut off')
        rows = np.frombuffer(body, layout, count)
        return {name: rows[name][:, 0] for name in layout.names}
    if data == 'binary_compressed':
        return _parse_compressed(body, layout, count)
    raise ValueError(f'expected DATA ascii, binary or binary_compressed, found {data}')


def decompress_lzf(data: bytes, size: int) -> bytes:
    """Decompress LZF, the format of liblzf that PCL uses.

    A control byte c < 32 is followed by c + 1 literal bytes. Any other one repeats earlier output:
    its upper three bits are the length - 2 (7: add the next byte), its lower five bits and another
    byte the distance - 1.

    Args:
        data: Compressed bytes.
        size: Expected number of bytes.

    Raises:
        ValueError: If the data is not LZF, or cut off.
    """
    out = bytearray()
    position, end = 0, len(data)
    try:
        while position < end:
            control = data[position]
            position += 1
            if control < 32:
                out += data[position:position + control + 1]
                position += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += data[position]
                position += 1
            start = len(out) - ((control & 31) << 8) - data[position] - 1
            position += 1
            if start < 0:
                raise ValueError('it refers to bytes before the first')
            while length:  # in pieces: the source may overlap the output
                piece = out[start:start + length]
                out += piece
                start += len(piece)
                length -= len(piece)
    except IndexError:
        raise ValueError('it is cut off') from None
    if len(out) != size:
        raise ValueError(f'{len(out)} bytes instead of {size}')
    return bytes(out)


def _read_header(stream: BinaryIO) -> dict[str, Any]:
    header: dict[str, Any] = {}
    for line in stream:
        key, *values = line.decode('ascii', 'replace').split() or ['#']
        if not key.startswith('#'):
            header[key.upper()] = values
        if key.upper() == 'DATA' or len(header) > PCD_HEADER_LINES:
            break
    return header


def _parse_ascii(body: bytes, layout: np.dtype, count: int) -> dict[str, np.ndarray]:
    widths = [layout[name].shape[0] for name in layout.names]
    try:
        table = np.array(body.split(), np.float64).reshape(count, sum(widths))
    except ValueError as error:
        raise ValueError(f'expected {count} lines of {sum(widths)} numbers, found: {error}') \
            from error
    return {name: table[:, start] for name, start in zip(
        layout.names, np.cumsum([0] + widths))}


def _parse_compressed(body: bytes, layout: np.dtype, count: int) -> dict[str, np.ndarray]:
    """Parse compressed data, where all values of a field precede those of the next."""
    try:
        packed, size = struct.unpack_from('<II', body)
        if size != count * layout.itemsize:
            raise ValueError(f'{size} bytes for {count} points of {layout.itemsize}')
        plain = decompress_lzf(body[8:8 + packed], size)
    except (struct.error, ValueError) as error:
        raise ValueError(f'expected {count} points of {layout.itemsize} bytes, compressed by LZF, '
                         f'found an error: {error}') from error
    fields, start = {}, 0
    for name in layout.names:
        base, width = layout[name].base, layout[name].shape[0]
        values = np.frombuffer(plain, base, count * width, start)
        fields[name] = values.reshape(count, width)[:, 0]
        start += values.nbytes
    return fields


def _distinct(names: list) -> list:
    """Return unique names: PCL pads points by fields that are all named ``_``."""
    return [name if name != '_' else f'_{index}' for index, name in enumerate(names)]
