"""Label fractions of a host's KITTI infos, with the object database that belongs to each.

Training pastes objects of the database (``kitti_dbinfos_train.pkl``) into other frames. One of all
frames would bring the labels of those that a fraction leaves out.
"""
from __future__ import annotations

import os
from typing import Dict, List, Optional, Sequence

from .detection_hosts import OBJECTS, load, open_kitti
from .segmentation.fractions import LabelSplit, select_randomly

FRACTIONS = (10, 20, 50)
CLASSES = ('Pedestrian', 'Cyclist', 'Car')


def select_objects(dbinfos: Dict[str, List[dict]], frames: Sequence[str]) -> Dict[str, List[dict]]:
    """Select the objects of an object database that lie in given frames.

    Args:
        dbinfos: Objects by class, each with the ``image_idx`` of its frame, a number or a name.
        frames: Names, ``'NNNNNN'``.
    """
    numbers = {int(frame) for frame in frames}
    return {name: [entry for entry in objects if int(entry['image_idx']) in numbers]
            for name, objects in dbinfos.items()}


def split_kitti(root: str, fractions: Sequence[float] = FRACTIONS, seed: int = 0,
                split_file: Optional[str] = None) -> Dict[float, int]:
    """Write infos and object databases of label fractions, and the split as JSON.

    For each percentage P: ``kitti_infos_train_P.pkl`` and ``kitti_dbinfos_train_P.pkl`` for
    mmdet3d, a ``DATA_PATH`` ``labels_P`` for OpenPCDet, whichever has prepared the folder. A
    smaller fraction is contained in every larger one; both hosts get the same frames. In mmdet3d's
    infos, validation's too, the category of ignored objects is added if it is not listed.

    Args:
        root: Folder of the host's ``kitti_infos_train.pkl`` and ``kitti_dbinfos_train.pkl``.
        fractions: Percent of the training frames.
        seed: Same seed and frames, same split.
        split_file: Take the frames of this file instead, which this function has written.

    Returns:
        Number of frames by percentage.

    Raises:
        FileNotFoundError: If infos, scans or the split are not there.
        DataLayoutError: If they are not what they should be, or a fraction has no frame.
    """
    open_kitti(root).complete()
    host = open_kitti(root)
    dbinfos = load(os.path.join(root, OBJECTS))
    host.check()

    if split_file:
        split = LabelSplit.load(split_file, 'kitti')
    else:
        ids = [host.frame_id(info) for info in host.infos]
        split = LabelSplit('kitti', f'random, seed {seed}', {
            percent: select_randomly(ids, percent, seed) for percent in fractions})
        split.save(os.path.join(root, 'kitti_label_split.json'))
    written = {}
    for percent in fractions:
        chosen = split.select(host.infos, percent, host.frame_id)
        objects = select_objects(dbinfos, [host.frame_id(info) for info in chosen])
        host.write(percent, chosen, objects)
        written[percent] = len(chosen)
        print(f'{percent:g}%: {len(chosen)} of {len(host.infos)} frames; objects to paste: '
              + ', '.join(f'{name} {len(entries)} of {len(dbinfos[name])}'
                          for name, entries in objects.items()))
        for name in CLASSES:
            if _nothing_to_paste(objects.get(name, []), host.min_points):
                print(f'warning: no {name} with at least {host.min_points} points, and pasting '
                      'fails without; take a larger fraction or another seed, or '
                      + host.without_class.format(name))
    return written


def _nothing_to_paste(objects: List[dict], min_points: int) -> bool:
    """Whether the host's configs filter out all objects of a class, on which its sampler fails."""
    return not any(entry['difficulty'] >= 0 and entry['num_points_in_gt'] >= min_points
                   for entry in objects)
