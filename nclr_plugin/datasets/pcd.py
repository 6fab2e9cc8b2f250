"""Point cloud files of PCL: ``.pcd``, all three encodings."""
from __future__ import annotations

import struct
from typing import Any, BinaryIO, Dict

import numpy as np

KINDS = dict(F='f', I='i', U='u')
MAX_HEADER_LINES = 20


def read_pcd(path: str) -> Dict[str, np.ndarray]:
    """Read the fields of a PCD file.

    Args:
        path: File with ``DATA`` ascii, binary or binary_compressed.

    Returns:
        For each field an array (N, ) in the field's type; of a field of ``COUNT`` n its first
        value. NaN stay. Padding (``_``) is among them under names that start with ``_``.

    Raises:
        ValueError: If the file is none, or cut off. The message lacks the path.
    """
    with open(path, 'rb') as stream:
        header = _read_header(stream)
        body = stream.read()
    try:
        counts = map(int, header.get('COUNT', ['1'] * len(header['FIELDS'])))
        layout = np.dtype({
            'names': _distinct(header['FIELDS']),
            'formats': [(f'<{KINDS[kind]}{size}', (int(count), )) for kind, size, count in zip(
                header['TYPE'], header['SIZE'], counts)]})
        count, data = int(header['POINTS'][0]), header['DATA'][0].lower()
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ValueError('expected the header of a PCD file (FIELDS, SIZE, TYPE, POINTS, DATA), '
                         f'found a fault at {error}') from error
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
    """Decompress LZF, the format of liblzf, which PCL compresses by.

    A control byte below 32 is followed by so many literal bytes, and one more. Any other repeats
    earlier output: its upper three bits are the length less 2 (7: the next byte is added), its
    lower five, with another byte, the distance less 1.

    Args:
        data: The compressed bytes.
        size: Bytes expected.

    Raises:
        ValueError: If the bytes are not LZF, or are cut off.
    """
    out = bytearray()
    place, end = 0, len(data)
    try:
        while place < end:
            control = data[place]
            place += 1
            if control < 32:
                out += data[place:place + control + 1]
                place += control + 1
                continue
            length = (control >> 5) + 2
            if length == 9:
                length += data[place]
                place += 1
            start = len(out) - ((control & 31) << 8) - data[place] - 1
            place += 1
            if start < 0:
                raise ValueError('it refers to bytes before the first')
            while length:  # in pieces: a copy may go on into what it has just written
                piece = out[start:start + length]
                out += piece
                start += len(piece)
                length -= len(piece)
    except IndexError:
        raise ValueError('it is cut off') from None
    if len(out) != size:
        raise ValueError(f'{len(out)} bytes instead of {size}')
    return bytes(out)


def _read_header(stream: BinaryIO) -> Dict[str, Any]:
    header: Dict[str, Any] = {}
    for line in stream:
        key, *values = line.decode('ascii', 'replace').split() or ['#']
        if not key.startswith('#'):
            header[key.upper()] = values
        if key.upper() == 'DATA' or len(header) > MAX_HEADER_LINES:
            break
    return header


def _parse_ascii(body: bytes, layout: np.dtype, count: int) -> Dict[str, np.ndarray]:
    widths = [layout[name].shape[0] for name in layout.names]
    try:
        table = np.array(body.split(), np.float64).reshape(count, sum(widths))
    except ValueError as error:
        raise ValueError(f'expected {count} lines of {sum(widths)} numbers, found: {error}') \
            from error
    return {name: table[:, start] for name, start in zip(
        layout.names, np.cumsum([0] + widths))}


def _parse_compressed(body: bytes, layout: np.dtype, count: int) -> Dict[str, np.ndarray]:
    """Fields one after another, each with the values of all points."""
    try:
        packed, size = struct.unpack_from('<II', body)
        if size != count * layout.itemsize:
            raise ValueError(f'{size} bytes for {count} points of {layout.itemsize}')
        plain = decompress_lzf(body[8:8 + packed], size)
    except (struct.error, ValueError) as error:
        raise ValueError(f'expected {count} points of {layout.itemsize} bytes, compressed by LZF, '
                         f'found a fault: {error}') from error
    fields, start = {}, 0
    for name in layout.names:
        base, width = layout[name].base, layout[name].shape[0]
        values = np.frombuffer(plain, base, count * width, start)
        fields[name] = values.reshape(count, width)[:, 0]
        start += values.nbytes
    return fields


def _distinct(names: list) -> list:
    """PCL pads points by fields that are all named ``_``."""
    return [name if name != '_' else f'_{place}' for place, name in enumerate(names)]
