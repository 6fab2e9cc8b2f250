"""Read OpenPCDet's nuScenes info files."""
from __future__ import annotations

import os

import numpy as np
from mmengine import fileio
from mmengine.registry import TASK_UTILS

from ..datasets.readers.nuscenes import NuScenesReader
from ..datasets.readers.base import require_file, require_folder

LIDAR_DIM = 5  # x, y, z, intensity, ring


@TASK_UTILS.register_module()
class OpenPCDetNuScenesReader(NuScenesReader):
    """Read nuScenes key frames from an OpenPCDet info file that includes cameras.

    ``python -m pcdet.datasets.nuscenes.nuscenes_dataset --func create_nuscenes_infos --with_cam``
    writes the file. See also :class:`~nclr_plugin.datasets.NuScenesReader`.
    """

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames, with their calibration; see the base class."""
        require_folder(os.path.join(data_root, 'samples'), 'Expected OpenPCDet\'s nuScenes root, '
                       'which ends in the version (v1.0-trainval) and holds samples; set DATA_PATH '
                       'to it.')
        path = os.path.join(data_root, self.info_file)
        require_file(path, "Expected an info file of OpenPCDet's create_nuscenes_infos "
                     '(info_file).')
        infos = fileio.load(path)
        if not isinstance(infos, list):
            raise ValueError(f"info file '{path}': expected a list of frames, as OpenPCDet writes "
                             f'it, found {type(infos).__name__}.')
        return self._read_infos(data_root, path, infos, keep_unpaired)

    def _frame(self, data_root: str, path: str, info: dict) -> dict:
        return super()._frame(data_root, path, _as_mmdet3d(info, path))


def _as_mmdet3d(info: dict, path: str) -> dict:
    """Convert an info to the entries of mmdet3d's infos that the base class reads."""
    try:
        return dict(
            token=info['token'],
            lidar_points=dict(lidar_path=info['lidar_path'], num_pts_feats=LIDAR_DIM),
            images={
                name: dict(
                    img_path=camera['data_path'],
                    cam2img=camera['camera_intrinsics'],
                    lidar2cam=np.linalg.inv(_camera_to_lidar(camera)))
                for name, camera in info['cams'].items()
            })
    except KeyError as error:
        raise ValueError(
            f"info file '{path}', frame {info.get('token')}: expected token, lidar_path and cams "
            'with data_path, camera_intrinsics, sensor2lidar_rotation, sensor2lidar_translation; '
            f'found no {error}; write it anew with --with_cam.') from None


def _camera_to_lidar(camera: dict) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = camera['sensor2lidar_rotation']
    matrix[:3, 3] = np.ravel(camera['sensor2lidar_translation'])
    return matrix
