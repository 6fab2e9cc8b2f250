"""Info files for mmdet3d's segmentation data sets, and for label fractions of them.

mmdet3d's ``create_data.py semantickitti`` lists all frames of all 22 sequences, even if they do not
exist; these infos list the present frames only, so that partial copies work.
"""
from __future__ import annotations

import json
import os
import pickle
from pathlib import PurePath
from typing import Any, Callable, NamedTuple, Sequence

from ...errors import DataLayoutError, reading
from ..label_fractions import LabelSplit, select_evenly, select_randomly, select_scenes
from ..readers.base import Folder, list_files, require_file, require_folder, shorten
from .labels import NUSCENES, check_labels

FRACTIONS = (0.1, 1, 10, 20, 50)
# The published code of SLidR, ALSO and NCLR calls these scenes "verifying", the other 600
# "parametrizing".
ABLATION_VAL = tuple('scene-' + number for number in """
    0008 0009 0019 0029 0032 0042 0045 0049 0052 0054 0056 0066 0067 0073 0131 0152 0166 0168 0183
    0190 0194 0208 0210 0211 0241 0243 0248 0259 0260 0261 0287 0292 0297 0305 0306 0350 0352 0358
    0361 0365 0368 0377 0388 0391 0395 0413 0427 0428 0438 0444 0452 0453 0459 0463 0464 0475 0513
    0533 0544 0575 0587 0589 0642 0652 0658 0669 0678 0687 0701 0703 0706 0710 0715 0726 0735 0740
    0758 0786 0790 0804 0806 0847 0856 0868 0882 0897 0899 0976 0996 1012 1015 1016 1018 1020 1024
    1044 1058 1094 1098 1107
""".split())


class SequenceSplit(NamedTuple):
    """Data set in SemanticKITTI's layout: name of its info files, official sequences."""
    name: str
    train: Sequence[str]
    val: Sequence[str]
    test: Sequence[str] = ()


SPLITS = {
    split.name: split
    for split in (
        SequenceSplit('semantickitti',
                      train=('00', '01', '02', '03', '04', '05', '06', '07', '09', '10'),
                      val=('08', ),
                      test=tuple(str(sequence) for sequence in range(11, 22))),
        SequenceSplit('semanticposs', train=('00', '01', '02', '04', '05'), val=('03', )),
    )
}


def list_infos(root: str, sequences: Sequence[str], labelled: bool = True) -> list[dict]:
    """List the frames of sequences in the format of mmdet3d's ``Seg3DDataset``.

    Args:
        root: Folder that holds ``sequences/XX/{velodyne,labels}``.
        sequences: Names of sequence folders; absent ones are skipped.
        labelled: List only frames with a label file; otherwise ignore labels.

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
    """Return ``'XX/NNNNNN'`` for a frame in SemanticKITTI's layout."""
    path = PurePath(info['lidar_points']['lidar_path'])
    return f'{path.parts[-3]}/{path.stem}'


def read_infos(path: str) -> dict[str, Any]:
    """Read an info file of mmdet3d, version 2.

    Returns:
        ``metainfo`` and ``data_list``.

    Raises:
        FileNotFoundError: If the file is absent.
        DataLayoutError: If it has another format.
    """
    require_file(path, 'Expected an info file of mmdet3d; write it by tools/create_infos.py, or '
                 "by mmdet3d's tools/create_data.py for nuScenes.")
    with open(path, 'rb') as file:
        with reading(path, 'an info file of mmdet3d'):
            infos = pickle.load(file)
    if not isinstance(infos, dict) or 'data_list' not in infos:
        raise DataLayoutError(f"info file '{path}': expected a dict with 'data_list' (version 2), "
                              f'found a {type(infos).__name__}; write it again.')
    return infos


def write_infos(path: str, infos: list[dict], metainfo: dict | None = None) -> None:
    """Write an info file of mmdet3d, version 2.

    Raises:
        DataLayoutError: If ``infos`` is empty.
    """
    if not infos:
        raise DataLayoutError(f"info file '{path}': expected frames to write, found none.")
    with open(path, 'wb') as file:
        pickle.dump(dict(metainfo=metainfo or {}, data_list=infos), file)


def require_sequences(root: str, sequences: Sequence[str], infos: list[dict]) -> None:
    """Raise if requested sequences have no frame.

    Raises:
        DataLayoutError: If a sequence has none; the message lists the folders that exist.
    """
    present = {frame_id(info).split('/')[0] for info in infos}
    absent = [sequence for sequence in sequences if sequence not in present]
    if absent:
        folders = sorted(os.listdir(os.path.join(root, 'sequences')))
        raise DataLayoutError(
            f"'{root}': expected labelled scans of the sequences {shorten(absent)}, found none; "
            f'there are the folders {shorten(folders)}.')


def _files(folder: str, suffix: str) -> dict[str, str]:
    return list_files(Folder(folder, (suffix, ))) if os.path.isdir(folder) else {}


def create_infos(dataset: str, root: str, fractions: Sequence[float] | None = None,
                 seed: int = 0, split_file: str | None = None,
                 train: Sequence[str] | None = None,
                 val: Sequence[str] | None = None) -> None:
    """Write info files of a data set in SemanticKITTI's layout, and of its label fractions.

    Args:
        dataset: Name in :data:`SPLITS`.
        root: Folder of the data set; the files are written there.
        fractions: Label fractions in percent; ``None``: those of :data:`FRACTIONS` that select
            at least one frame.
        seed: Seed of the random selection of frames (SemanticKITTI).
        split_file: Label split to use instead of a new selection.
        train: Training sequences; ``None``: the official ones.
        val: Validation sequences; ``None``: the official ones.

    Raises:
        FileNotFoundError: If the data set or the split is missing.
        DataLayoutError: If a sequence, a label file or a fraction is invalid.
    """
    official = SPLITS[dataset]
    lists = {}
    for part, named in (('train', train), ('val', val), ('test', None)):
        lists[part] = list_infos(root, named or getattr(official, part), part != 'test')
        if named:
            require_sequences(root, named, lists[part])
        check_labels([(os.path.join(root, info['lidar_points']['lidar_path']),
                       os.path.join(root, info['pts_semantic_mask_path']))
                      for info in lists[part] if part != 'test'], 4, 'uint32')
        path = os.path.join(root, f'{official.name}_infos_{part}.pkl')
        if lists[part] or part == 'train':
            write_infos(path, lists[part], dict(dataset=official.name))
            print(f'{path}: {len(lists[part])} frames')
    ids = [frame_id(info) for info in lists['train']]
    if split_file:
        split = LabelSplit.load(split_file, dataset)
    elif official.name == 'semanticposs':
        split = draw_split(dataset, root, 'every n-th in sorted order', fractions,
                           lambda percent: select_evenly(ids, percent))
    else:
        split = draw_split(dataset, root, f'random, seed {seed}', fractions,
                           lambda percent: select_randomly(ids, percent, seed))
    write_fractions(dataset, root, split, fractions, lists['train'], dict(dataset=official.name),
                    frame_id)


def create_nuscenes_fractions(root: str, fractions: Sequence[float] | None = None,
                              split_file: str | None = None) -> None:
    """Write info files of label fractions of nuScenes, which consist of whole scenes.

    Args:
        root: Folder of the tables and of mmdet3d's ``nuscenes_infos_train.pkl``.
        fractions: See :func:`create_infos`.
        split_file: See :func:`create_infos`.

    Raises:
        FileNotFoundError: If the infos, a table or the split is missing.
        DataLayoutError: If a fraction selects no scene.
    """
    infos, scene_of, scenes = read_nuscenes_scenes(root)
    if split_file:
        split = LabelSplit.load(split_file, NUSCENES)
    else:
        split = draw_split(NUSCENES, root, 'every n-th scene of the scene table', fractions,
                           lambda percent: select_scenes(scenes, percent))
    write_fractions(NUSCENES, root, split, fractions, infos['data_list'], infos['metainfo'],
                    lambda info: scene_of[info['token']])


def read_nuscenes_scenes(root: str) -> tuple[dict, dict[str, str], list[str]]:
    """Read mmdet3d's training infos of nuScenes and find the scene of each frame.

    Args:
        root: Folder of the tables and of ``nuscenes_infos_train.pkl``.

    Returns:
        tuple: Infos, scene name by frame token, and names of the infos' scenes in the order of the
        scene table.

    Raises:
        FileNotFoundError: If the infos or a table is missing.
        DataLayoutError: If the infos are of another layout.
    """
    infos = read_infos(os.path.join(root, 'nuscenes_infos_train.pkl'))
    tables = os.path.join(root, infos['metainfo'].get('version', 'v1.0-trainval'))
    names = {row['token']: row['name'] for row in _table(tables, 'scene')}
    scene_of = {row['token']: names[row['scene_token']] for row in _table(tables, 'sample')}
    training = {scene_of[info['token']] for info in infos['data_list']}
    return infos, scene_of, [name for name in names.values() if name in training]


def _table(folder: str, name: str) -> list[dict]:
    path = os.path.join(folder, f'{name}.json')
    require_file(path, 'Expected this nuScenes table, which assigns each frame to a scene.')
    with open(path) as file, reading(path, 'a nuScenes table'):
        return json.load(file)


def draw_split(dataset: str, root: str, rule: str, fractions: Sequence[float] | None,
               select: Callable[[float], list[str]]) -> LabelSplit:
    """Select the frames of each fraction by a rule, and write ``DATASET_label_split.json``.

    Raises:
        DataLayoutError: If one of the given fractions selects no frame. By default (``None``) such
            fractions are left out.
    """
    split = LabelSplit(dataset, rule)
    for percent in fractions or FRACTIONS:
        try:
            split.fractions[percent] = select(percent)
        except DataLayoutError as error:
            if fractions:
                raise
            print(f'left out: {error}')
    path = os.path.join(root, f'{dataset}_label_split.json')
    split.save(path)
    print(f'{path}: label fractions, {split.rule}')
    return split


def write_fractions(dataset: str, root: str, split: LabelSplit,
                    fractions: Sequence[float] | None, infos: list[dict],
                    metainfo: dict[str, str], identify: Callable[[dict], str]) -> None:
    """Write the infos of fractions of a split; by default of all below 100%."""
    for percent in fractions or sorted(p for p in split.fractions if p < 100):
        selected = split.select(infos, percent, identify)
        path = os.path.join(root, f'{dataset}_infos_train_{percent:g}.pkl')
        write_infos(path, selected, metainfo)
        print(f'{path}: {len(selected)} frames, {percent:g}% of {len(infos)}')


def create_nuscenes_ablation(root: str, fractions: Sequence[float] = (1, )) -> None:
    """Write info files of the published division of nuScenes' training scenes, 600 and 100.

    The paper pretrains on the 600 scenes (section 4.1). Its ablation study fine-tunes on 1% of
    them, every 100th scene of the scene table, and evaluates on the 100 (section 4.5).

    Args:
        root: Folder of the tables and of mmdet3d's ``nuscenes_infos_train.pkl``; files
            ``nuscenes_infos_ablation_{train,val}.pkl`` and ``..._ablation_train_1.pkl`` are
            written there.
        fractions: Percentages of the 600 scenes.

    Raises:
        FileNotFoundError: If the infos or a table is missing.
        DataLayoutError: If scenes of the 100 are absent, or a fraction selects no scene.
    """
    infos, scene_of, scenes = read_nuscenes_scenes(root)
    absent = sorted(set(ABLATION_VAL) - set(scenes))
    if absent:
        raise DataLayoutError(
            f"'{root}': expected the {len(ABLATION_VAL)} scenes of the published division in "
            f'nuscenes_infos_train.pkl, {len(absent)} of them are absent: {shorten(absent)}; '
            'it must be one of the whole training set (v1.0-trainval).')
    train = [name for name in scenes if name not in ABLATION_VAL]
    parts = dict(train=train, val=ABLATION_VAL)
    parts.update({f'train_{percent:g}': select_scenes(train, percent) for percent in fractions})
    for part, names in parts.items():
        selected = [info for info in infos['data_list'] if scene_of[info['token']] in set(names)]
        path = os.path.join(root, f'nuscenes_infos_ablation_{part}.pkl')
        write_infos(path, selected, infos['metainfo'])
        print(f'{path}: {len(selected)} frames of {len(names)} scenes')
