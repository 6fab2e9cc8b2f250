"""Info files for mmdet3d's segmentation data sets, of the frames that are there.

mmdet3d's ``create_data.py semantickitti`` lists all frames of all 22 sequences, whether the files
exist or not; a partial copy needs infos of its own.
"""
from __future__ import annotations

import os
import pickle
from pathlib import PurePath
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from ...errors import DataLayoutError
from ..readers.pairing import Folder, list_files, require_file, require_folder, shorten


class Layout(NamedTuple):
    """A data set in SemanticKITTI's folders: name of its info files, official sequences."""
    name: str
    train: Sequence[str]
    val: Sequence[str]
    test: Sequence[str] = ()


LAYOUTS = {
    layout.name: layout
    for layout in (
        Layout('semantickitti',
               train=('00', '01', '02', '03', '04', '05', '06', '07', '09', '10'),
               val=('08', ),
               test=tuple(str(sequence) for sequence in range(11, 22))),
        Layout('semanticposs', train=('00', '01', '02', '04', '05'), val=('03', )),
    )
}


def list_infos(root: str, sequences: Sequence[str], labelled: bool = True) -> List[dict]:
    """List the frames of some sequences as mmdet3d's ``Seg3DDataset`` wants them.

    Args:
        root: Folder that holds ``sequences/XX/{velodyne,labels}``.
        sequences: Sequence folders; those that are absent are passed over.
        labelled: Only frames with a label file; otherwise labels are not looked for.

    Returns:
        Infos, sorted by sequence and file name, with paths relative to ``root``.

    Raises:
        FileNotFoundError: If ``root`` has no ``sequences``.
    """
    require_folder(os.path.join(root, 'sequences'), 'Expected the layout of SemanticKITTI, '
                   'sequences/XX/{velodyne,labels}; give the folder above it.')
    infos = []
    for sequence in sorted(sequences):
        folder = os.path.join('sequences', sequence)
        scans = _files(os.path.join(root, folder, 'velodyne'), '.bin')
        labels = _files(os.path.join(root, folder, 'labels'), '.label') if labelled else scans
        for stem in sorted(set(scans) & set(labels)):
            info = dict(
                lidar_points=dict(
                    lidar_path=os.path.join(folder, 'velodyne', scans[stem]), num_pts_feats=4),
                sample_idx=f'{sequence}/{stem}')
            if labelled:
                info['pts_semantic_mask_path'] = os.path.join(folder, 'labels', labels[stem])
            infos.append(info)
    return infos


def frame_id(info: dict) -> str:
    """``'XX/NNNNNN'`` of a frame in SemanticKITTI's layout, by the path of its scan."""
    path = PurePath(info['lidar_points']['lidar_path'])
    return f'{path.parts[-3]}/{path.stem}'


def read_infos(path: str) -> Dict[str, Any]:
    """Read an info file of mmdet3d, version 2.

    Returns:
        ``metainfo`` and ``data_list``.

    Raises:
        FileNotFoundError: If there is none.
        DataLayoutError: If it holds something else.
    """
    require_file(path, 'Expected an info file of mmdet3d; write it by tools/create_infos.py, or '
                 "by mmdet3d's tools/create_data.py for nuScenes.")
    with open(path, 'rb') as file:
        infos = pickle.load(file)
    if not isinstance(infos, dict) or 'data_list' not in infos:
        raise DataLayoutError(f"info file '{path}': expected a dict with 'data_list' (version 2), "
                              f'found a {type(infos).__name__}; write it again.')
    return infos


def write_infos(path: str, infos: List[dict], metainfo: Optional[dict] = None) -> None:
    """Write infos as mmdet3d's data sets read them.

    Raises:
        DataLayoutError: If there is no info to write.
    """
    if not infos:
        raise DataLayoutError(f"info file '{path}': expected frames to write, found none.")
    with open(path, 'wb') as file:
        pickle.dump(dict(metainfo=metainfo or {}, data_list=infos), file)


def require_sequences(root: str, wanted: Sequence[str], infos: List[dict]) -> None:
    """Raise when sequences that were asked for by name have no frame.

    Raises:
        DataLayoutError: Naming them, and what there is.
    """
    found = {frame_id(info).split('/')[0] for info in infos}
    absent = [sequence for sequence in wanted if sequence not in found]
    if absent:
        there = sorted(os.listdir(os.path.join(root, 'sequences')))
        raise DataLayoutError(
            f"'{root}': expected labelled scans of the sequences {shorten(absent)}, found none; "
            f'there are the folders {shorten(there)}.')


def _files(folder: str, suffix: str) -> Dict[str, str]:
    return list_files(Folder(folder, (suffix, ))) if os.path.isdir(folder) else {}
