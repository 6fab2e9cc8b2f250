"""The 600 and 100 scenes into which published work divides nuScenes' 700 training scenes."""
from __future__ import annotations

import os
from typing import Sequence

from ...errors import DataLayoutError
from ..readers.pairing import shorten
from .fractions import select_scenes
from .infos import write_infos
from .label_infos import read_nuscenes_scenes

# "Verifying" in the published code of SLidR, ALSO and NCLR; the other 600 are "parametrizing".
ABLATION_VAL = tuple('scene-' + number for number in """
    0008 0009 0019 0029 0032 0042 0045 0049 0052 0054 0056 0066 0067 0073 0131 0152 0166 0168 0183
    0190 0194 0208 0210 0211 0241 0243 0248 0259 0260 0261 0287 0292 0297 0305 0306 0350 0352 0358
    0361 0365 0368 0377 0388 0391 0395 0413 0427 0428 0438 0444 0452 0453 0459 0463 0464 0475 0513
    0533 0544 0575 0587 0589 0642 0652 0658 0669 0678 0687 0701 0703 0706 0710 0715 0726 0735 0740
    0758 0786 0790 0804 0806 0847 0856 0868 0882 0897 0899 0976 0996 1012 1015 1016 1018 1020 1024
    1044 1058 1094 1098 1107
""".split())


def create_nuscenes_ablation(root: str, fractions: Sequence[float] = (1, )) -> None:
    """Write info files of the 600 scenes, of the 100 scenes and of label fractions of the 600.

    The paper pretrains on the 600 (section 4.1); its ablation study fine-tunes on 1% of them, every
    100th scene of the scene table, and evaluates on the 100 (section 4.5).

    Args:
        root: Folder of the tables and of mmdet3d's ``nuscenes_infos_train.pkl``; files
            ``nuscenes_infos_ablation_{train,val}.pkl`` and ``..._ablation_train_1.pkl`` are
            written there.
        fractions: Percentages of the 600 scenes.

    Raises:
        FileNotFoundError: If the infos or a table is missing.
        DataLayoutError: If some of the 100 scenes are not there, or a fraction selects no scene.
    """
    infos, scene_of, scenes = read_nuscenes_scenes(root)
    absent = sorted(set(ABLATION_VAL) - set(scenes))
    if absent:
        raise DataLayoutError(
            f"'{root}': expected the {len(ABLATION_VAL)} scenes of the published division in "
            f'nuscenes_infos_train.pkl, {len(absent)} of them are not there: {shorten(absent)}; '
            'it is one of the whole training set (v1.0-trainval).')
    train = [name for name in scenes if name not in ABLATION_VAL]
    parts = dict(train=train, val=ABLATION_VAL)
    parts.update({f'train_{percent:g}': select_scenes(train, percent) for percent in fractions})
    for part, names in parts.items():
        wanted = set(names)
        chosen = [info for info in infos['data_list'] if scene_of[info['token']] in wanted]
        path = os.path.join(root, f'nuscenes_infos_ablation_{part}.pkl')
        write_infos(path, chosen, infos['metainfo'])
        print(f'{path}: {len(chosen)} frames of {len(names)} scenes')
