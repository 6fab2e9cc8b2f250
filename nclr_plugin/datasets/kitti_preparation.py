"""mmdet3d's preparation of KITTI's detection data, for any frames in that layout."""
from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Iterator

from ..utils.optional import optional_import
from .readers.base import require_file, require_folder

LABELLED = ('train', 'val', 'trainval')


def prepare_kitti(root: str) -> None:
    """Write infos, scans cropped to the camera's view, and the object database.

    This calls the functions of mmdet3d's ``tools/create_data.py kitti``, which fails without test
    frames, as with one's own recordings.

    Args:
        root: Folder of ``ImageSets/{train,val,trainval}.txt`` and ``training/``, and, if
            ``ImageSets/test.txt`` names frames, of ``testing/``.

    Raises:
        FileNotFoundError: If a list or mmdet3d's tools are absent.
        ImportError: If mmdet3d is not installed.
    """
    lists = Path(root, 'ImageSets')
    for split in LABELLED:
        require_file(str(lists / f'{split}.txt'), 'Expected the list of frames of this split, one '
                     'number of six digits a line.')
    lists.joinpath('test.txt').touch()  # the converter reads it
    with _converters() as (kitti, objects, infos), TemporaryDirectory(dir=root) as updated:
        kitti.create_kitti_info_file(root, 'kitti')
        kitti.create_reduced_point_cloud(root, 'kitti')
        for split in (*LABELLED, 'test'):
            path = Path(root, f'kitti_infos_{split}.pkl')
            if lists.joinpath(f'{split}.txt').read_text().strip():
                # In place, the converter waits 5 s, and an interruption leaves half a file.
                infos.update_pkl_infos('kitti', out_dir=updated, pkl_path=str(path))
                Path(updated, path.name).replace(path)
            else:
                path.unlink()
        objects.create_groundtruth_database('KittiDataset', root, 'kitti', 'kitti_infos_train.pkl',
                                            relative_path=False)


@contextmanager
def _converters() -> Iterator[list]:
    """Import mmdet3d's converters, which are scripts beside the package."""
    mmdet3d = optional_import('mmdet3d', purpose='Preparing data for detectors')
    tools = Path(mmdet3d.__file__).parent / '.mim/tools'
    require_folder(str(tools), 'Expected the tools of mmdet3d; install it by pip.')
    optional_import('mmdet3d.utils').register_all_modules()
    sys.path.insert(0, str(tools))
    try:
        yield [optional_import(f'dataset_converters.{name}') for name in (
            'kitti_converter', 'create_gt_database', 'update_infos_to_v2')]
    finally:
        sys.path.remove(str(tools))
