"""Info files of labelled scans and of fractions of them."""
from __future__ import annotations

import json
import os
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ...errors import DataLayoutError
from ..readers.pairing import require_file
from .fractions import LabelSplit, select_evenly, select_randomly, select_scenes
from .infos import LAYOUTS, frame_id, list_infos, read_infos, require_sequences, write_infos
from .label_check import check_labels

FRACTIONS = (0.1, 1, 10, 20, 50)
NUSCENES = 'nuscenes'


def create_infos(dataset: str, root: str, fractions: Optional[Sequence[float]] = None,
                 seed: int = 0, split_file: Optional[str] = None,
                 train: Optional[Sequence[str]] = None,
                 val: Optional[Sequence[str]] = None) -> None:
    """Write info files of a data set in SemanticKITTI's layout, and of its label fractions.

    Args:
        dataset: A name in :data:`~.infos.LAYOUTS`.
        root: Folder of the data set; the files are written there.
        fractions: Label fractions in percent; ``None``: those of :data:`FRACTIONS` that select
            at least one frame.
        seed: Seed of the random choice of frames (SemanticKITTI).
        split_file: Label split to read the frames from, instead of choosing them.
        train: Training sequences; ``None``: the official ones.
        val: Validation sequences; ``None``: the official ones.

    Raises:
        FileNotFoundError: If the data set or the split is missing.
        DataLayoutError: If a sequence, a label file or a fraction is not as expected.
    """
    layout = LAYOUTS[dataset]
    lists = {}
    for part, named in (('train', train), ('val', val), ('test', None)):
        lists[part] = list_infos(root, named or getattr(layout, part), part != 'test')
        if named:
            require_sequences(root, named, lists[part])
        check_labels([(os.path.join(root, info['lidar_points']['lidar_path']),
                       os.path.join(root, info['pts_semantic_mask_path']))
                      for info in lists[part] if part != 'test'], 4, 'uint32')
        path = os.path.join(root, f'{layout.name}_infos_{part}.pkl')
        if lists[part] or part == 'train':
            write_infos(path, lists[part], dict(dataset=layout.name))
            print(f'{path}: {len(lists[part])} frames')
    ids = [frame_id(info) for info in lists['train']]
    if split_file:
        split = LabelSplit.load(split_file, dataset)
    elif layout.name == 'semanticposs':
        split = _choose(dataset, root, 'every n-th in sorted order', fractions,
                        lambda percent: select_evenly(ids, percent))
    else:
        split = _choose(dataset, root, f'random, seed {seed}', fractions,
                        lambda percent: select_randomly(ids, percent, seed))
    _write_fractions(dataset, root, split, fractions, lists['train'], dict(dataset=layout.name),
                     frame_id)


def create_nuscenes_fractions(root: str, fractions: Optional[Sequence[float]] = None,
                              split_file: Optional[str] = None) -> None:
    """Write info files of label fractions of nuScenes, scene by scene.

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
        split = _choose(NUSCENES, root, 'every n-th scene of the scene table', fractions,
                        lambda percent: select_scenes(scenes, percent))
    _write_fractions(NUSCENES, root, split, fractions, infos['data_list'], infos['metainfo'],
                     lambda info: scene_of[info['token']])


def read_nuscenes_scenes(root: str) -> Tuple[dict, Dict[str, str], List[str]]:
    """Read mmdet3d's training infos of nuScenes and find the scene of each frame.

    Args:
        root: Folder of the tables and of ``nuscenes_infos_train.pkl``.

    Returns:
        tuple: the infos, the scene's name by the frame's token, and the names of the scenes of the
        infos, in the order of the scene table.

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


def _table(folder: str, name: str) -> List[dict]:
    path = os.path.join(folder, f'{name}.json')
    require_file(path, 'Expected this nuScenes table, which assigns each frame to a scene.')
    with open(path) as file:
        return json.load(file)


def _choose(dataset: str, root: str, rule: str, fractions: Optional[Sequence[float]],
            select: Callable[[float], List[str]]) -> LabelSplit:
    """Choose the frames of each fraction and write the label split."""
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


def _write_fractions(dataset: str, root: str, split: LabelSplit,
                     fractions: Optional[Sequence[float]], infos: List[dict],
                     metainfo: Dict[str, str], identify: Callable[[dict], str]) -> None:
    """Write the infos of each fraction of a split; all below 100% by default."""
    for percent in fractions or sorted(p for p in split.fractions if p < 100):
        selected = split.select(infos, percent, identify)
        path = os.path.join(root, f'{dataset}_infos_train_{percent:g}.pkl')
        write_infos(path, selected, metainfo)
        print(f'{path}: {len(selected)} frames, {percent:g}% of {len(infos)}')
