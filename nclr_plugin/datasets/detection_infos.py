"""Label fractions of mmdet3d's KITTI infos, with the object database that belongs to each.

Training pastes objects of the database (``kitti_dbinfos_train.pkl``) into other frames. One of all
frames would bring the labels of those that a fraction leaves out.
"""
from __future__ import annotations

import argparse
import os
import pickle
import sys
from typing import Dict, List, Optional, Sequence

from .errors import DataLayoutError
from .readers.pairing import require_file, require_folder, shorten
from .segmentation.fractions import LabelSplit, select_randomly
from .segmentation.infos import read_infos, write_infos

FRACTIONS = (10, 20, 50)
CAMERA = 'CAM2'
CLASSES = ('Pedestrian', 'Cyclist', 'Car')
MIN_POINTS = 10  # of an object that the host's configs paste, at most
CALIBRATION = ('cam2img', 'lidar2cam', 'height', 'width')


def kitti_frame_id(info: dict) -> str:
    """``'NNNNNN'``, by the name of the scan."""
    return os.path.splitext(os.path.basename(info['lidar_points']['lidar_path']))[0]


def select_objects(dbinfos: Dict[str, List[dict]], infos: Sequence[dict]) -> Dict[str, List[dict]]:
    """The objects of an object database that lie in given frames.

    Args:
        dbinfos: Objects by class, each with the ``image_idx`` of its frame.
        infos: Frames, each with its ``sample_idx``.
    """
    frames = {int(info['sample_idx']) for info in infos}
    return {name: [entry for entry in objects if int(entry['image_idx']) in frames]
            for name, objects in dbinfos.items()}


def check_infos(root: str, path: str, infos: Sequence[dict],
                folder: str = 'training') -> List[str]:
    """Check that the frames of an info file have what training and evaluation read.

    Args:
        root: Folder of the data set.
        path: The info file, for messages.
        infos: Its frames.
        folder: Of scans and images, below ``root``.

    Returns:
        Images that are not there: detectors of scans alone do without.

    Raises:
        DataLayoutError: If a frame has no calibration of the camera whose images are labelled.
        FileNotFoundError: If scans are not there.
    """
    calibrations = {kitti_frame_id(info): info.get('images', {}).get(CAMERA, {}) for info in infos}
    absent = {frame: [key for key in CALIBRATION if entry.get(key) is None]
              for frame, entry in calibrations.items()}
    bad = [frame for frame, keys in absent.items() if keys]
    if bad:
        raise DataLayoutError(
            f"info file '{path}': expected images.{CAMERA} with {', '.join(CALIBRATION)} for every "
            f"frame, found none of {', '.join(absent[bad[0]])} in {shorten(bad)}; write the infos "
            "again by mmdet3d's tools/create_data.py kitti, with calib/ and image_2/ there.")
    scans = [os.path.join(root, folder, 'velodyne_reduced', f'{frame}.bin')
             for frame in calibrations]
    lost = [scan for scan in scans if not os.path.isfile(scan)]
    if lost:
        raise FileNotFoundError(
            f"info file '{path}': expected the scan of every frame, without those of "
            f"{shorten(lost)}; write them by mmdet3d's tools/create_data.py kitti.")
    return [image for image in (
        os.path.join(root, folder, 'image_2', os.path.basename(entry.get('img_path', f'{frame}?')))
        for frame, entry in calibrations.items()) if not os.path.isfile(image)]


def split_kitti(root: str, fractions: Sequence[float] = FRACTIONS, seed: int = 0,
                split_file: Optional[str] = None) -> Dict[float, int]:
    """Write infos and object databases of label fractions, and the split as JSON.

    ``kitti_infos_train_P.pkl`` and ``kitti_dbinfos_train_P.pkl`` for each percentage P. A smaller
    fraction is contained in every larger one.

    Args:
        root: Folder of mmdet3d's ``kitti_infos_train.pkl`` and ``kitti_dbinfos_train.pkl``.
        fractions: Percent of the training frames.
        seed: Same seed and frames, same split.
        split_file: Take the frames of this file instead, which this function has written.

    Returns:
        Number of frames by percentage.

    Raises:
        FileNotFoundError: If infos, scans or the split are not there.
        DataLayoutError: If they are not what they should be, or a fraction has no frame.
    """
    infos_path = os.path.join(root, 'kitti_infos_train.pkl')
    objects_path = os.path.join(root, 'kitti_dbinfos_train.pkl')
    require_folder(root, "Expected the KITTI folder in which mmdet3d's tools/create_data.py kitti "
                   'has written its info files.')
    content = read_infos(infos_path)
    require_file(objects_path, "Expected the object database of mmdet3d's tools/create_data.py "
                 'kitti.')
    infos = content['data_list']
    images = check_infos(root, infos_path, infos)
    if images:
        print(f'warning: images are absent, which detection does without: {shorten(images)}')
    with open(objects_path, 'rb') as file:
        dbinfos = pickle.load(file)

    if split_file:
        split = LabelSplit.load(split_file, 'kitti')
    else:
        ids = [kitti_frame_id(info) for info in infos]
        split = LabelSplit('kitti', f'random, seed {seed}', {
            percent: select_randomly(ids, percent, seed) for percent in fractions})
        split.save(os.path.join(root, 'kitti_label_split.json'))
    written = {}
    for percent in fractions:
        chosen = split.select(infos, percent, kitti_frame_id)
        write_infos(os.path.join(root, f'kitti_infos_train_{percent:g}.pkl'), chosen,
                    content['metainfo'])
        objects = select_objects(dbinfos, chosen)
        with open(os.path.join(root, f'kitti_dbinfos_train_{percent:g}.pkl'), 'wb') as file:
            pickle.dump(objects, file)
        written[percent] = len(chosen)
        print(f'{percent:g}%: {len(chosen)} of {len(infos)} frames; objects to paste: ' + ', '.join(
            f'{name} {len(entries)} of {len(dbinfos[name])}' for name, entries in objects.items()))
        _tell_absent(objects)
    return written


def _tell_absent(objects: Dict[str, List[dict]]) -> None:
    """Warn of classes without an object that the host's configs paste: it would fail there."""
    for name in CLASSES:
        if not any(entry['difficulty'] >= 0 and entry['num_points_in_gt'] >= MIN_POINTS
                   for entry in objects.get(name, [])):
            print(f'warning: no {name} with at least {MIN_POINTS} points, and ObjectSample fails '
                  'without; take a larger fraction or another seed, or train with --cfg-options '
                  f'train_dataloader.dataset.dataset.pipeline.2.db_sampler.sample_groups.{name}=0')


def main(args: Optional[Sequence[str]] = None) -> None:
    """The command line of ``tools/split_detection_infos.py``."""
    parser = argparse.ArgumentParser(
        description="Write label fractions of mmdet3d's KITTI infos, with the object database that "
        'belongs to each.')
    parser.add_argument('root', help='KITTI folder with the info files; those are written there')
    parser.add_argument('--fractions', type=float, nargs='+', default=FRACTIONS, metavar='PERCENT',
                        help='of the training frames (default: 10 20 50)')
    parser.add_argument('--seed', type=int, default=0, help='of the random choice (default: 0)')
    parser.add_argument('--split', metavar='FILE',
                        help='take the frames of this kitti_label_split.json instead')
    parsed = parser.parse_args(args)
    try:
        split_kitti(parsed.root, parsed.fractions, parsed.seed, parsed.split)
    except (DataLayoutError, OSError) as error:
        sys.exit(f'error: {error}')
