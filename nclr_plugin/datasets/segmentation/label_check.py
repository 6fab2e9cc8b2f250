"""Do the label files fit their scans and the label map?"""
from __future__ import annotations

import os
from typing import Iterable, Optional, Sequence, Tuple

import numpy as np

from ...errors import DataLayoutError

FLOAT_BYTES = 4


def check_labels(files: Iterable[Tuple[str, str]],
                 lidar_dim: int,
                 dtype: str,
                 known: Optional[Sequence[int]] = None,
                 offset: Optional[int] = None) -> int:
    """Check that each label file has one label for each point, and only labels that are known.

    mmdet3d takes what it finds: a short file becomes an index error in the middle of training, and
    a SemanticKITTI label that the map does not list counts as a car.

    Args:
        files: Scan and label file of each frame.
        lidar_dim: float32 values of a point.
        dtype: NumPy name of a label's type.
        known: Raw labels of the map; only sizes are checked when None, which reads no file.
        offset: A label is ``value % offset``, the rest being the instance (``None``: the value).

    Returns:
        How many frames there were.

    Raises:
        FileNotFoundError: If a file is absent.
        DataLayoutError: If a label file is too short or too long, or has a label outside the map.
    """
    valid = None if known is None else np.array(sorted(known))
    count = 0
    for scan, label in files:
        points = _rows(scan, FLOAT_BYTES * lidar_dim, f'scan, {lidar_dim} float32 a point')
        labels = _rows(label, np.dtype(dtype).itemsize, f'labels, {dtype}')
        if points != labels:
            raise DataLayoutError(
                f"label file '{label}': expected {points} labels, as many as '{scan}' has points, "
                f'found {labels} ({os.path.getsize(label)} bytes of {dtype}); copy it again.')
        if valid is not None:
            raw = np.fromfile(label, dtype=dtype)
            ids = np.unique(raw if offset is None else raw.astype(np.int64) % offset)
            unknown = np.setdiff1d(ids, valid)
            if len(unknown):
                raise DataLayoutError(
                    f"label file '{label}': expected labels of the map, {valid.tolist()}, found "
                    f'{unknown.tolist()}; add them to seg_label_mapping, or give the data set that '
                    'the file belongs to.')
        count += 1
    return count


def _rows(path: str, size: int, what: str) -> int:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"'{path}': expected a file ({what}), found none; write the infos "
                                'of the frames that are there by tools/create_infos.py.')
    rows, rest = divmod(os.path.getsize(path), size)
    if rest:
        raise DataLayoutError(f"'{path}': expected rows of {size} bytes ({what}), found {rest} "
                              f'bytes after {rows} rows; it is cut off or of another kind.')
    return rows
