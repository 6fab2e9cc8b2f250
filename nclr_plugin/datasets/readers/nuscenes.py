"""nuScenes reader, from the info files of mmdet3d or OpenPCDet."""
from __future__ import annotations

import os
from typing import Sequence

import numpy as np
from mmengine import fileio
from mmengine.registry import TASK_UTILS

from ...errors import reading
from ...geometry.se3 import make_transform
from .base import (Reader, frame_or_broken, read_frame_list, report_missing, require_file,
                   require_folder, shorten)
from .calibration import check_cam2img, check_lidar2cam

CAMERAS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_FRONT_LEFT', 'CAM_BACK', 'CAM_BACK_LEFT',
           'CAM_BACK_RIGHT')
LIDAR = 'LIDAR_TOP'
INTENSITY_SCALE = 1 / 255  # nuScenes stores 0..255
LIDAR_DIM = 5  # x, y, z, intensity, ring


@TASK_UTILS.register_module()
class NuScenesReader(Reader):
    """Read nuScenes key frames of an mmdet3d info file (``nuscenes_infos_train.pkl``, version 2).

    Images and scans are in ``samples/CAM_X`` and ``samples/LIDAR_TOP``. A frame is one scan with a
    view per camera; its id is the sample token. ``lidar2cam`` of the infos includes the motion of
    the vehicle between scan and exposure.

    Args:
        info_file: Info file, absolute or relative to the data root.
        cameras: Cameras, in the order of the views.
        frame_list: File with sample tokens, one per line, absolute or relative to the data root.
            ``None``: all frames of the info file.
        num_sweeps: Largest number of earlier sweeps per frame, for
            :class:`~nclr_plugin.datasets.AccumulateSweeps`; the first frames of a scene have
            fewer. The info file lists the 20 Hz sweeps before each key frame, 10 by default
            (``--max-sweeps`` of mmdet3d's create_data.py).
        sweep_step: Take every n-th sweep; 4: those 0.2, 0.4, ... s before the frame.

    Raises:
        ValueError: If ``num_sweeps`` is negative or ``sweep_step`` less than 1.
    """

    def __init__(self,
                 info_file: str,
                 cameras: Sequence[str] = CAMERAS,
                 frame_list: str | None = None,
                 num_sweeps: int = 0,
                 sweep_step: int = 1) -> None:
        if num_sweeps < 0 or sweep_step < 1:
            raise ValueError('NuScenesReader: expected num_sweeps >= 0 and sweep_step >= 1, found '
                             f'{num_sweeps} and {sweep_step}.')
        self.info_file = info_file
        self.cameras = list(cameras)
        self.frame_list = frame_list
        self.num_sweeps = num_sweeps
        self.sweep_step = sweep_step

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames of the info file, with files in ``data_root/samples``; see the base."""
        require_folder(os.path.join(data_root, 'samples'), 'Expected a nuScenes root with '
                       'samples/{CAM_FRONT,...,LIDAR_TOP}; set data_root to it.')
        path = os.path.join(data_root, self.info_file)
        require_file(path, "Expected an info file of mmdet3d's tools/create_data.py nuscenes "
                     '(info_file).')
        with reading(path, 'an info file of mmdet3d'):
            infos = fileio.load(path)
        if not isinstance(infos, dict) or 'data_list' not in infos:
            found = sorted(infos) if isinstance(infos, dict) else type(infos).__name__
            raise ValueError(f"info file '{path}': expected a dict with 'data_list' (version 2), "
                             f'found {found}; convert it with mmdet3d\'s update_infos_to_v2.py.')
        if self.num_sweeps and not any('lidar_sweeps' in info for info in infos['data_list']):
            raise ValueError(f"info file '{path}': expected lidar_sweeps in it (num_sweeps is "
                             f"{self.num_sweeps}), found none; write it by mmdet3d's "
                             'tools/create_data.py nuscenes --max-sweeps 10.')
        return self._read_infos(data_root, path, infos['data_list'], keep_unpaired)

    def _read_infos(self, data_root: str, path: str, infos: Sequence[dict],
                    keep_unpaired: bool) -> list[dict]:
        """Return the frames of the list file, their files checked."""
        frames = [frame_or_broken(str(info.get('token', f'number {number}')), keep_unpaired,
                                  self._frame, data_root, path, info)
                  for number, info in enumerate(self._select(infos, data_root, path))]
        check_files(frames, path, keep_unpaired)
        return frames

    def _frame(self, data_root: str, path: str, info: dict) -> dict:
        """Return the entry of a frame of mmdet3d's infos."""
        try:
            token, lidar, images = info['token'], info['lidar_points'], info['images']
            return dict(
                frame_id=token,
                lidar_path=_sample_path(data_root, LIDAR, lidar['lidar_path']),
                lidar_dim=int(lidar['num_pts_feats']),
                intensity_scale=INTENSITY_SCALE,
                sweeps=self._sweeps(data_root, info, f"info file '{path}', frame {token}"),
                images=[
                    self._view(data_root, camera, images[camera],
                               f"info file '{path}', frame {token}, {camera}")
                    for camera in self.cameras
                ])
        except (KeyError, TypeError) as error:
            fault = f'no {error}' if isinstance(error, KeyError) else f'an error: {error}'
            raise ValueError(
                f"info file '{path}', frame {info.get('token')}: expected a token, lidar_points "
                '(lidar_path, num_pts_feats) and images with img_path, cam2img, lidar2cam of '
                f"{self.cameras}; found {fault} (cameras: {sorted(info.get('images') or {})})."
            ) from None

    @staticmethod
    def _view(data_root: str, camera: str, image: dict, where: str) -> dict:
        view = dict(
            name=camera,
            img_path=_sample_path(data_root, camera, image['img_path']),
            cam2img=check_cam2img(image['cam2img'], where),
            lidar2cam=check_lidar2cam(image['lidar2cam'], where))
        if 'width' in image and 'height' in image:
            view['image_size'] = int(image['width']), int(image['height'])
        return view

    def _sweeps(self, data_root: str, info: dict, where: str) -> list[dict]:
        """Return file and pose of the requested sweeps, latest first."""
        sweeps = info.get('lidar_sweeps', [])[self.sweep_step - 1::self.sweep_step]
        return [
            dict(
                # Sweeps of key frames are in samples, the others in sweeps.
                lidar_path=os.path.join(data_root, *sweep['lidar_points']['lidar_path'].replace(
                    os.sep, '/').split('/')[-3:]),
                # The inverse of the whole matrix; mmdet3d's loader also rotates the shift.
                sweep2lidar=np.linalg.inv(check_lidar2cam(
                    sweep['lidar_points']['lidar2sensor'], f'{where}, sweep {number}')))
            for number, sweep in enumerate(sweeps[:self.num_sweeps])
        ]

    def _select(self, infos: Sequence[dict], data_root: str, path: str) -> Sequence[dict]:
        """Return the infos of the frames in the list file."""
        if self.frame_list is None:
            return infos
        by_token = {info.get('token'): info for info in infos}
        tokens = read_frame_list(self.frame_list, data_root)
        unknown = [token for token in tokens if token not in by_token]
        if unknown:
            raise ValueError(f"frame list '{self.frame_list}': expected sample tokens of '{path}', "
                             f'found {shorten(unknown)} that are not in it.')
        return [by_token[token] for token in tokens]


def _sample_path(data_root: str, channel: str, path: str) -> str:
    """Return the path of a sample; older infos have folders of another machine before the name."""
    return os.path.join(data_root, 'samples', channel, os.path.basename(path))


def check_files(frames: list[dict], info_file: str, keep: bool) -> None:
    """Report missing files; listing each folder once is faster than checking each file."""
    listings: dict[str, set[str]] = {}
    missing = []
    for frame in frames:
        if 'broken' in frame:
            continue
        paths = [part['lidar_path'] for part in (frame, *frame.get('sweeps', ()))]
        paths += [image['img_path'] for image in frame['images']]
        for path in paths:
            folder, name = os.path.split(path)
            if folder not in listings:
                listings[folder] = set(os.listdir(folder)) if os.path.isdir(folder) else set()
            if name not in listings[folder]:
                missing.append(path)
    if missing:
        report_missing(
            f"info file '{info_file}': expected every scan and image of its {len(frames)} frames, "
            f'missing are {shorten(missing)}',
            'add them or name the complete frames in a list file (frame_list)', keep)


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
        with reading(path, 'an info file of mmdet3d'):
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
                    lidar2cam=np.linalg.inv(make_transform(
                        np.asarray(camera['sensor2lidar_rotation'], np.float64),
                        np.ravel(camera['sensor2lidar_translation']).astype(np.float64))))
                for name, camera in info['cams'].items()
            })
    except KeyError as error:
        raise ValueError(
            f"info file '{path}', frame {info.get('token')}: expected token, lidar_path and cams "
            'with data_path, camera_intrinsics, sensor2lidar_rotation, sensor2lidar_translation; '
            f'found no {error}; write it again with --with_cam.') from None
