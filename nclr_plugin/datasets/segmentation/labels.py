"""Load and check point labels: classes and instances."""
from __future__ import annotations

import os
from typing import Iterable, Sequence

import numpy as np
from mmengine.registry import TRANSFORMS

from ...errors import BrokenFrameError, DataLayoutError
from ..scan_files import FLOAT_BYTES
from ..transforms.loading import BaseTransform

SEMANTICKITTI, NUSCENES = 'semantickitti', 'nuscenes'
NUSCENES_FACTOR = 1000  # a label is this times the category, plus the instance


@TRANSFORMS.register_module()
class LoadPanopticLabels(BaseTransform):
    """Load the raw class and the instance of every point, for mmdet3d's data sets.

    Replaces mmdet3d's ``LoadAnnotations3D(with_panoptic_3d=True)``, which reads SemanticKITTI's
    labels as signed numbers, so that instances from 32,768 on become negative and do not count, and
    cannot read nuScenes' ``.npz``. Use it before ``PointSegClassMapping``.

    Sets ``pts_semantic_mask`` (N,) int64, raw classes, and ``pts_instance_mask`` (N,) int64,
    instance numbers within a class, 0 for none; also in ``eval_ann_info`` if present.

    Args:
        layout: Layout of the files. ``'semantickitti'``: ``pts_semantic_mask_path`` is a
            ``.label`` file of uint32 with the instance in the upper 16 bits. ``'nuscenes'``: the
            folder ``panoptic``, beside ``lidarseg`` of ``pts_semantic_mask_path``, has a ``.npz``
            per scan with an array ``data`` of 1000 x category + instance.

    Raises:
        BrokenFrameError: If the file is absent or damaged, or the number of labels is wrong.
    """

    def __init__(self, layout: str) -> None:
        if layout not in (SEMANTICKITTI, NUSCENES):
            raise ValueError(f'LoadPanopticLabels: layout: expected {SEMANTICKITTI!r} or '
                             f'{NUSCENES!r}, found {layout!r}.')
        self.layout = layout
        # LabelCheckHook reads these attributes, which mmdet3d's LoadAnnotations3D also has.
        self.with_seg_3d = True
        self.seg_3d_dtype = 'uint32' if layout == SEMANTICKITTI else 'uint8'
        self.seg_offset = 2**16 if layout == SEMANTICKITTI else None

    def transform(self, results: dict) -> dict:
        """Load the labels; see the class."""
        frame_id = results.get('lidar_path', '')
        path = results['pts_semantic_mask_path']
        if self.layout == NUSCENES:
            path = panoptic_path(path)
        if not os.path.isfile(path):
            raise BrokenFrameError(frame_id, f"labels '{path}': expected a file, found none; "
                                   'download the panoptic labels of the data set.')
        read = _read_semantickitti if self.layout == SEMANTICKITTI else _read_nuscenes
        semantic, instance = read(frame_id, path)
        if 'points' in results and len(semantic) != len(results['points']):
            raise BrokenFrameError(
                frame_id, f"labels '{path}': expected one for each of the "
                f"{len(results['points'])} points, found {len(semantic)}.")
        results['pts_semantic_mask'], results['pts_instance_mask'] = semantic, instance
        if 'eval_ann_info' in results:
            results['eval_ann_info'].update(
                pts_semantic_mask=semantic, pts_instance_mask=instance)
        return results


def panoptic_path(lidarseg_path: str) -> str:
    """Return the path of nuScenes' panoptic labels for a path of semantic labels.

    Example:
        >>> panoptic_path('data/lidarseg/v1.0-mini/abc_lidarseg.bin')
        'data/panoptic/v1.0-mini/abc_panoptic.npz'
    """
    head, found, tail = lidarseg_path.rpartition('lidarseg/')
    if not found or not tail.endswith('_lidarseg.bin'):
        raise ValueError(f"pts_semantic_mask_path: expected .../lidarseg/VERSION/"
                         f"TOKEN_lidarseg.bin, found '{lidarseg_path}'.")
    return head + 'panoptic/' + tail[:-len('_lidarseg.bin')] + '_panoptic.npz'


def _read_semantickitti(frame_id: str, path: str) -> tuple[np.ndarray, np.ndarray]:
    size = os.path.getsize(path)
    if size % 4:
        raise BrokenFrameError(frame_id, f"labels '{path}': expected uint32 numbers, found {size} "
                               'bytes, which is no multiple of 4: the file is cut off.')
    labels = np.fromfile(path, dtype=np.uint32).astype(np.int64)
    return labels & 0xFFFF, labels >> 16


def _read_nuscenes(frame_id: str, path: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            labels = file['data'].astype(np.int64)
    except (ValueError, EOFError, OSError, KeyError) as error:
        raise BrokenFrameError(frame_id, f"labels '{path}': expected an .npz with an array "
                               f"'data', found: {error}") from error
    return labels // NUSCENES_FACTOR, labels % NUSCENES_FACTOR


def check_labels(files: Iterable[tuple[str, str]],
                 lidar_dim: int,
                 dtype: str,
                 known: Sequence[int] | None = None,
                 offset: int | None = None) -> int:
    """Check that each label file has one known label per point.

    mmdet3d does not check: a short file leads to an index error during training, and an unknown
    SemanticKITTI label counts as a car.

    Args:
        files: Pairs of scan and label file.
        lidar_dim: Number of float32 values per point.
        dtype: NumPy name of a label's type.
        known: Raw labels of the map; ``None``: check the sizes only, without reading the files.
        offset: The label is ``value % offset``; ``None``: the value.

    Returns:
        Number of frames.

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
                                'of the present frames by tools/create_infos.py.')
    rows, rest = divmod(os.path.getsize(path), size)
    if rest:
        raise DataLayoutError(f"'{path}': expected rows of {size} bytes ({what}), found {rest} "
                              f'bytes after {rows} rows; it is cut off or of another kind.')
    return rows
