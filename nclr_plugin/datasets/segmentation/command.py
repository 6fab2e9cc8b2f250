"""The command line of ``tools/create_infos.py``."""
from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Callable, Dict, List, Optional, Sequence

from ..errors import DataLayoutError
from ..readers.pairing import require_file
from .fractions import LabelSplit, select_evenly, select_randomly, select_scenes
from .infos import LAYOUTS, frame_id, list_infos, read_infos, require_sequences, write_infos
from .label_check import check_labels

FRACTIONS = (0.1, 1, 10, 20, 50)
NUSCENES = 'nuscenes'


def parse_args(args: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Write info files for the labelled scans that are there, and for fractions of '
        'them. nuScenes: only the fractions, of the infos that mmdet3d has written.')
    parser.add_argument('dataset', choices=[*LAYOUTS, NUSCENES])
    parser.add_argument('root', help='folder of the data set; the files are written there')
    parser.add_argument('--fractions', type=float, nargs='+', metavar='PERCENT',
                        help='label fractions (0.1 1 10 20 50, as far as they select anything)')
    parser.add_argument('--seed', type=int, default=0,
                        help='of the random choice (SemanticKITTI); default 0')
    parser.add_argument('--split', metavar='FILE',
                        help='take the frames of this file instead: a split that this tool has '
                        'written, or a percentile list of the SegContrast protocol')
    parser.add_argument('--train', nargs='+', metavar='SEQUENCE',
                        help='training sequences (the official ones)')
    parser.add_argument('--val', nargs='+', metavar='SEQUENCE',
                        help='validation sequences (the official ones)')
    return parser.parse_args(args)


def main(args: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    parsed = parse_args(args)
    try:
        if parsed.dataset == NUSCENES:
            _nuscenes(parsed)
        else:
            _sequences(parsed)
    except (DataLayoutError, OSError) as error:
        sys.exit(f'error: {error}')


def _sequences(args: argparse.Namespace) -> None:
    """Infos and fractions in SemanticKITTI's layout."""
    layout = LAYOUTS[args.dataset]
    lists = {}
    for part in ('train', 'val', 'test'):
        named = getattr(args, part, None)
        lists[part] = list_infos(args.root, named or getattr(layout, part), part != 'test')
        if named:
            require_sequences(args.root, named, lists[part])
        check_labels([(os.path.join(args.root, info['lidar_points']['lidar_path']),
                       os.path.join(args.root, info['pts_semantic_mask_path']))
                      for info in lists[part] if part != 'test'], 4, 'uint32')
        path = os.path.join(args.root, f'{layout.name}_infos_{part}.pkl')
        if lists[part] or part == 'train':
            write_infos(path, lists[part], dict(dataset=layout.name))
            print(f'{path}: {len(lists[part])} frames')
    ids = [frame_id(info) for info in lists['train']]
    if layout.name == 'semanticposs':
        rule, choose = 'every n-th in sorted order', lambda percent: select_evenly(ids, percent)
    else:
        rule, choose = f'random, seed {args.seed}', lambda percent: select_randomly(
            ids, percent, args.seed)
    _write_fractions(args, lists['train'], dict(dataset=layout.name), frame_id, rule, choose)


def _nuscenes(args: argparse.Namespace) -> None:
    """Fractions of nuScenes, by scene."""
    infos = read_infos(os.path.join(args.root, 'nuscenes_infos_train.pkl'))
    tables = os.path.join(args.root, infos['metainfo'].get('version', 'v1.0-trainval'))
    names = {row['token']: row['name'] for row in _table(tables, 'scene')}
    scene_of = {row['token']: names[row['scene_token']] for row in _table(tables, 'sample')}
    there = {scene_of[info['token']] for info in infos['data_list']}
    scenes = [name for name in names.values() if name in there]
    _write_fractions(args, infos['data_list'], infos['metainfo'],
                     lambda info: scene_of[info['token']], 'every n-th scene of the scene table',
                     lambda percent: select_scenes(scenes, percent))


def _table(folder: str, name: str) -> List[dict]:
    path = os.path.join(folder, f'{name}.json')
    require_file(path, 'Expected this table of nuScenes, which tells the scene of each frame.')
    with open(path) as file:
        return json.load(file)


def _write_fractions(args: argparse.Namespace, infos: List[dict], metainfo: Dict[str, str],
                     identify: Callable[[dict], str], rule: str,
                     choose: Callable[[float], List[str]]) -> None:
    """Draw or read the split, write it and the infos of each fraction."""
    if args.split:
        split = LabelSplit.load(args.split, args.dataset)
        percents = args.fractions or sorted(p for p in split.fractions if p < 100)
    else:
        split = LabelSplit(args.dataset, rule)
        percents = args.fractions or FRACTIONS
        for percent in percents:
            try:
                split.fractions[percent] = choose(percent)
            except DataLayoutError as error:
                if args.fractions:
                    raise
                print(f'left out: {error}')
        percents = list(split.fractions)
        path = os.path.join(args.root, f'{args.dataset}_label_split.json')
        split.save(path)
        print(f'{path}: label fractions, {split.rule}')
    for percent in percents:
        chosen = split.select(infos, percent, identify)
        path = os.path.join(args.root, f'{args.dataset}_infos_train_{percent:g}.pkl')
        write_infos(path, chosen, metainfo)
        print(f'{path}: {len(chosen)} frames, {percent:g}% of {len(infos)}')
