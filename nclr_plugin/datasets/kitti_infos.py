"""KITTI's info files of mmdet3d and OpenPCDet, and their label fractions.

Each fraction has its own object database (``kitti_dbinfos_train.pkl``). Training pastes its objects
into other frames, so the full database would leak labels of the frames that are left out.
"""
from __future__ import annotations

import os
import pickle
from glob import glob
from typing import Any, Iterable, Mapping, Sequence

from mmengine.config import Config

from ..errors import DataLayoutError, reading
from ..utils.dataset_wrappers import innermost_configs
from .label_fractions import LabelSplit, select_randomly
from .readers.base import require_file, require_folder, shorten
from .segmentation.infos import draw_split, write_infos

INFOS = 'kitti_infos_train.pkl'
OBJECTS = 'kitti_dbinfos_train.pkl'
IGNORED = -1  # mmdet3d's label of ignored objects
DETECTION_FRACTIONS = (10, 20, 50)
CLASSES = ('Pedestrian', 'Cyclist', 'Car')


class Mmdet3DKitti:
    """Infos of mmdet3d's ``tools/create_data.py kitti``, version 2.

    A fraction P is ``kitti_infos_train_P.pkl`` and ``kitti_dbinfos_train_P.pkl`` beside them.

    Args:
        root: Folder of the data set.
        content: Content of the info file.
        name: Name of the info file.
        scans: Folder of the scans, in ``root``.
    """
    camera = 'CAM2'
    calibration = ('cam2img', 'lidar2cam', 'height', 'width')
    min_points = 10  # largest threshold for pasted objects in mmdet3d's configs
    without_class = ('train with --cfg-options '
                     'train_dataloader.dataset.dataset.pipeline.2.db_sampler.sample_groups.{}=0')

    def __init__(self, root: str, content: Any, name: str = INFOS,
                 scans: str = 'training/velodyne_reduced') -> None:
        self.root = root
        self.path = os.path.join(root, name)
        self.scans = scans
        if not isinstance(content, dict) or 'data_list' not in content:
            raise DataLayoutError(
                f"info file '{self.path}': expected a dict with 'data_list' (mmdet3d, version 2; "
                f"a list is OpenPCDet's), found a {type(content).__name__}; write it again.")
        self.infos: list[dict] = content['data_list']
        self.metainfo = content['metainfo']

    @staticmethod
    def frame_id(info: dict) -> str:
        """Return ``'NNNNNN'``, the stem of the scan."""
        return os.path.splitext(os.path.basename(info['lidar_points']['lidar_path']))[0]

    def object_frame(self, entry: dict) -> str:
        """Return the frame of an object; the database holds its index in the infos.

        Raises:
            DataLayoutError: If the index is out of range.
        """
        index = int(entry['image_idx'])
        if not 0 <= index < len(self.infos):
            raise DataLayoutError(
                f"object database '{os.path.join(self.root, OBJECTS)}': expected indices of "
                f'the {len(self.infos)} infos as image_idx, found {index}: the two files are '
                'from different preparations; write both again by tools/create_infos.py kitti.')
        return self.frame_id(self.infos[index])

    def check(self) -> None:
        """Check that training and evaluation find calibration and scans of all frames.

        Absent images are only reported, because LiDAR detectors do not need them.

        Raises:
            DataLayoutError: If a frame lacks the calibration of the labelled camera.
            FileNotFoundError: If scans are absent.
        """
        calibrations = {self.frame_id(info): info.get('images', {}).get(self.camera, {})
                        for info in self.infos}
        _require_keys(calibrations, self.calibration, f'images.{self.camera}', self.path,
                      "mmdet3d's tools/create_data.py kitti, with calib/ and image_2/ present")
        _require_files(self.root, self.scans, '.bin', calibrations, self.path,
                       "write them by mmdet3d's tools/create_data.py kitti")
        _report_absent_images(self.root, os.path.dirname(self.scans), calibrations)

    def check_evaluation(self) -> None:
        """Check that evaluation finds a category of ignored objects.

        Raises:
            DataLayoutError: If there are ignored objects, but no category for them.
        """
        if self.lacks_ignored_category():
            raise DataLayoutError(
                f"info file '{self.path}': expected a category with label {IGNORED}, which objects "
                'of the frames have: mmdet3d writes it if the last frame has such an object; run '
                f'python tools/split_detection_infos.py {self.root}, which adds it.')

    def lacks_ignored_category(self) -> bool:
        """Return whether there are ignored objects, but no category for them."""
        return IGNORED not in self.metainfo.get('categories', {}).values() and any(
            instance['bbox_label'] == IGNORED
            for info in self.infos for instance in info.get('instances', ()))

    def complete(self) -> None:
        """Add the category of ignored objects to all infos of the folder that lack it."""
        for path in sorted(glob(os.path.join(self.root, 'kitti_infos_*.pkl'))):
            part = type(self)(self.root, load(path), os.path.basename(path))
            if part.lacks_ignored_category():
                part.metainfo['categories']['DontCare'] = IGNORED
                write_infos(path, part.infos, part.metainfo)
                print(f'{path}: added the category DontCare, which mmdet3d lists only if the last '
                      'frame has one')

    def write(self, percent: float, infos: list[dict], objects: dict[str, list[dict]]) -> None:
        """Write the files of a label fraction."""
        write_infos(_numbered(self.path, percent), infos, self.metainfo)
        _dump(_numbered(os.path.join(self.root, OBJECTS), percent), objects)


class OpenPCDetKitti:
    """Infos of OpenPCDet's ``kitti_dataset create_kitti_infos``.

    Its YAML files name the object database inside a list, which ``--set`` cannot change. A fraction
    P is therefore a folder ``labels_P`` for ``DATA_CONFIG.DATA_PATH``: infos and database under
    their usual names, and links to the other files.

    Args:
        root: Folder of the data set.
        content: Content of the info file.
    """
    calibration = ('P2', 'R0_rect', 'Tr_velo_to_cam')
    min_points = 5
    shared = ('ImageSets', 'training', 'testing', 'gt_database', 'kitti_infos_val.pkl',
              'kitti_infos_test.pkl')
    without_class = ('train without pasted objects (--set '
                     'DATA_CONFIG.DATA_AUGMENTOR.DISABLE_AUG_LIST "[\'gt_sampling\']"), or without '
                     '{} in SAMPLE_GROUPS')

    def __init__(self, root: str, content: list[dict]) -> None:
        self.root = root
        self.path = os.path.join(root, INFOS)
        self.infos = content

    @staticmethod
    def frame_id(info: dict) -> str:
        """Return ``'NNNNNN'``."""
        return info['point_cloud']['lidar_idx']

    @staticmethod
    def object_frame(entry: dict) -> str:
        """Return the frame of an object of the database."""
        return entry['image_idx']

    def complete(self) -> None:
        """Do nothing: OpenPCDet's infos are complete."""

    def check(self) -> None:
        """Check like :meth:`Mmdet3DKitti.check`, and ``calib/``, which training reads, too."""
        calibrations = {self.frame_id(info): info.get('calib', {}) for info in self.infos}
        _require_keys(calibrations, self.calibration, 'calib', self.path,
                      "OpenPCDet's kitti_dataset create_kitti_infos")
        for folder, suffix in (('training/velodyne', '.bin'), ('training/calib', '.txt')):
            _require_files(self.root, folder, suffix, calibrations, self.path,
                           "add them from KITTI's archives")
        _report_absent_images(self.root, 'training', calibrations)

    def write(self, percent: float, infos: list[dict], objects: dict[str, list[dict]]) -> None:
        """Write the folder of a label fraction."""
        folder = os.path.join(self.root, f'labels_{percent:g}')
        os.makedirs(folder, exist_ok=True)
        for name in self.shared:
            link = os.path.join(folder, name)
            if os.path.exists(os.path.join(self.root, name)) and not os.path.lexists(link):
                os.symlink(os.path.join('..', name), link)
        _dump(os.path.join(folder, INFOS), infos)
        _dump(os.path.join(folder, OBJECTS), objects)


def open_kitti(root: str) -> Mmdet3DKitti | OpenPCDetKitti:
    """Open the training infos of a folder that mmdet3d or OpenPCDet has prepared.

    Raises:
        FileNotFoundError: If the folder or its infos are absent.
        DataLayoutError: If the infos are of neither framework.
    """
    require_folder(root, 'Expected the KITTI folder in which mmdet3d\'s tools/create_data.py kitti '
                   "or OpenPCDet's kitti_dataset create_kitti_infos has written its info files.")
    content = load(os.path.join(root, INFOS))
    return (OpenPCDetKitti if isinstance(content, list) else Mmdet3DKitti)(root, content)


def check_config(dataset: Mapping[str, Any]) -> None:
    """Check the files of an mmdet3d ``KittiDataset``: infos, scans, objects to paste.

    Args:
        dataset: Config of the data set.

    Raises:
        DataLayoutError, FileNotFoundError: See :meth:`Mmdet3DKitti.check` and, in test mode,
            :meth:`Mmdet3DKitti.check_evaluation`.
    """
    root = dataset.get('data_root') or ''
    infos = load(os.path.join(root, dataset['ann_file']))
    scans = (dataset.get('data_prefix') or {}).get('pts')
    if scans:  # absent for image detectors
        kitti = Mmdet3DKitti(root, infos, dataset['ann_file'], scans)
        kitti.check()
        if dataset.get('test_mode'):
            kitti.check_evaluation()
    for step in dataset['pipeline']:
        if 'db_sampler' in step:
            _require_prepared(step['db_sampler']['info_path'])


def require_infos(config: Config, *loaders: str) -> None:
    """Check that the info files of data loaders exist, and those of KITTI are complete.

    Args:
        config: Config of mmdet3d.
        loaders: Names of data loaders in the config.

    Raises:
        FileNotFoundError, DataLayoutError: If a file is absent; see also :func:`check_config`.
    """
    for loader in loaders:
        for dataset in innermost_configs((config.get(loader) or {}).get('dataset') or {}):
            path = os.path.join(dataset.get('data_root') or '', dataset.get('ann_file') or '')
            if not dataset.get('ann_file') or '://' in path:  # not on disk
                continue
            if dataset['type'] == 'KittiDataset':
                check_config(dataset)
            elif not os.path.isfile(path):
                raise FileNotFoundError(
                    f'{path}: expected the info file of {loader}, found none; write it by '
                    'tools/create_infos.py with the same --fractions (a fraction that selects no '
                    "frame has none), or by mmdet3d's create_data.py")


def load(path: str) -> Any:
    """Load a pickle file of mmdet3d's or OpenPCDet's preparation."""
    _require_prepared(path)
    with open(path, 'rb') as file, reading(path, 'a pickle file'):
        return pickle.load(file)


def _require_prepared(path: str) -> None:
    require_file(path, "Expected what mmdet3d's tools/create_data.py kitti or OpenPCDet's "
                 'kitti_dataset create_kitti_infos writes; for a label fraction (_10, _20, ...), '
                 'what tools/split_detection_infos.py then writes.')


def _numbered(path: str, percent: float) -> str:
    return f'{os.path.splitext(path)[0]}_{percent:g}.pkl'


def _dump(path: str, content: Any) -> None:
    with open(path, 'wb') as file:
        pickle.dump(content, file)


def _require_keys(calibrations: dict[str, dict], keys: Sequence[str], where: str, path: str,
                  writer: str) -> None:
    absent = {frame: [key for key in keys if entry.get(key) is None]
              for frame, entry in calibrations.items()}
    bad = [frame for frame, names in absent.items() if names]
    if bad:
        raise DataLayoutError(
            f"info file '{path}': expected {where} with {', '.join(keys)} for every frame, found "
            f"none of {', '.join(absent[bad[0]])} in {shorten(bad)}; write the infos again by "
            f'{writer}.')


def _require_files(root: str, folder: str, suffix: str, frames: Iterable[str], path: str,
                   cure: str) -> None:
    absent = _absent(root, folder, suffix, frames)
    if absent:
        raise FileNotFoundError(f"info file '{path}': expected {folder} of every frame, without "
                                f'{shorten(absent)}; {cure}.')


def _report_absent_images(root: str, part: str, frames: Iterable[str]) -> None:
    absent = _absent(root, os.path.join(part, 'image_2'), '.png', frames)
    if absent:
        print(f'warning: absent images, which LiDAR detection does not need: {shorten(absent)}')


def _absent(root: str, folder: str, suffix: str, frames: Iterable[str]) -> list[str]:
    paths = [os.path.join(root, folder, frame + suffix) for frame in frames]
    return [path for path in paths if not os.path.isfile(path)]


def split_kitti(root: str, fractions: Sequence[float] = DETECTION_FRACTIONS, seed: int = 0,
                split_file: str | None = None) -> dict[float, int]:
    """Write infos and object databases of label fractions, and the split as JSON.

    Percentage P is written as ``kitti_infos_train_P.pkl`` and ``kitti_dbinfos_train_P.pkl`` for
    mmdet3d, or as a ``DATA_PATH`` ``labels_P`` for OpenPCDet, whichever has prepared the folder.
    Smaller fractions are subsets of larger ones, and both frameworks get the same frames. The
    category of ignored objects is added to mmdet3d's infos that lack it.

    Args:
        root: Folder of ``kitti_infos_train.pkl`` and ``kitti_dbinfos_train.pkl``.
        fractions: Percentages of the training frames.
        seed: Random seed.
        split_file: Split of an earlier call, to select its frames.

    Returns:
        Number of frames by percentage.

    Raises:
        FileNotFoundError: If infos, scans or the split are absent.
        DataLayoutError: If one of them is invalid, or a fraction has no frame.
    """
    open_kitti(root).complete()
    kitti = open_kitti(root)
    dbinfos = load(os.path.join(root, OBJECTS))
    kitti.check()

    if split_file:
        split = LabelSplit.load(split_file, 'kitti')
    else:
        ids = [kitti.frame_id(info) for info in kitti.infos]
        split = draw_split('kitti', root, f'random, seed {seed}', fractions,
                           lambda percent: select_randomly(ids, percent, seed))
    written = {}
    for percent in fractions:
        selected = split.select(kitti.infos, percent, kitti.frame_id)
        frames = {kitti.frame_id(info) for info in selected}
        objects = {name: [entry for entry in entries if kitti.object_frame(entry) in frames]
                   for name, entries in dbinfos.items()}
        kitti.write(percent, selected, objects)
        written[percent] = len(selected)
        print(f'{percent:g}%: {len(selected)} of {len(kitti.infos)} frames; objects to paste: '
              + ', '.join(f'{name} {len(entries)} of {len(dbinfos[name])}'
                          for name, entries in objects.items()))
        for name in CLASSES:
            if _nothing_to_paste(objects.get(name, []), kitti.min_points):
                print(f'warning: no {name} has at least {kitti.min_points} points, without which '
                      'pasting fails; take a larger fraction or another seed, or '
                      + kitti.without_class.format(name))
    return written


def _nothing_to_paste(objects: list[dict], min_points: int) -> bool:
    """Return whether the configs drop all objects of a class, which makes the sampler fail."""
    return not any(entry['difficulty'] >= 0 and entry['num_points_in_gt'] >= min_points
                   for entry in objects)
