"""Readers of KITTI's two folder layouts."""
from __future__ import annotations

import os
from typing import Sequence

import numpy as np
from mmengine.registry import TASK_UTILS

from .base import (IMAGE_SUFFIXES, Folder, Reader, frame_or_broken, pair_files, read_frame_list,
                   require_file, require_folder)
from .calibration import (KittiValue, kitti_camera, kitti_lidar2ref, read_kitti_calibration,
                          take_matrix)

LIDAR_DIM = 4  # x, y, z, reflectance in 0..1
CAMERAS = {name.format(number): number
           for number in range(4) for name in ('image_{}', 'image_0{}')}
RAW_FILES = 'calib_cam_to_cam.txt', 'calib_velo_to_cam.txt'


@TASK_UTILS.register_module()
class KittiOdometryReader(Reader):
    """Read KITTI odometry and SemanticKITTI: ``sequences/XX/{image_2,velodyne,calib.txt}``.

    The frames of a sequence are the stems of its image and scan folders; frame ids are
    ``'XX/NNNNNN'``. The extrinsics combine the transform from the LiDAR to the reference camera
    (Tr) and the shift from there to this camera (fourth column of P):
    ``lidar2cam = [I | K^-1 P[:, 3]] @ Tr``. Instead of ``calib.txt``, a sequence may have the files
    of a raw recording, ``calib_cam_to_cam.txt`` and ``calib_velo_to_cam.txt``; the names of the
    tracking data are accepted, too.

    Args:
        sequences: Names of sequence folders, e.g. ``('00', '01')``; numbers and a single sequence
            are accepted, too.
        cameras: Image folders; ``image_N`` and ``image_0N`` belong to ``PN`` of ``calib.txt``.
        frame_list: File with frame ids ``XX/NNNNNN``, one per line, absolute or relative to the
            data root; or the list itself. ``None``: all frames of ``sequences``.
    """

    def __init__(self,
                 sequences: Sequence[str],
                 cameras: Sequence[str] = ('image_2', ),
                 frame_list: str | Sequence[str] | None = None) -> None:
        if isinstance(sequences, (str, int)):
            sequences = [sequences]
        # Command lines parse 00 as a number.
        self.sequences = [f'{sequence:02d}' if isinstance(sequence, int) else sequence
                          for sequence in sequences]
        self.cameras = _check_cameras(cameras)
        self.frame_list = frame_list

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames below ``data_root/sequences``; see :class:`Reader`."""
        root = os.path.join(data_root, 'sequences')
        require_folder(root, 'Expected a KITTI odometry or SemanticKITTI root with '
                       'sequences/XX/{image_2,velodyne,calib.txt}; set data_root to it.')
        listed = self._listed_stems(data_root)
        frames = []
        for sequence in self.sequences:
            if listed is None or sequence in listed:
                stems = None if listed is None else listed[sequence]
                frames += self._read_sequence(root, sequence, stems, keep_unpaired)
        return frames

    def _listed_stems(self, data_root: str) -> dict[str, list[str]] | None:
        """Return the stems of the list file by sequence; ``None`` without a list."""
        if self.frame_list is None:
            return None
        listed: dict[str, list[str]] = {}
        for entry in read_frame_list(self.frame_list, data_root):
            sequence, _, stem = entry.partition('/')
            if not stem or sequence not in self.sequences:
                raise ValueError(
                    f"frame list '{self.frame_list}': expected frames 'XX/NNNNNN' of the sequences "
                    f"{self.sequences}, found '{entry}'.")
            listed.setdefault(sequence, []).append(stem)
        return listed

    def _read_sequence(self, root: str, sequence: str, stems: list[str] | None,
                       keep_unpaired: bool) -> list[dict]:
        folder = os.path.join(root, sequence)
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"sequence '{sequence}' is unknown: expected a folder '{folder}', found "
                f'{sorted(os.listdir(root))}.')
        calibration = self._read_calibration(folder)
        pairs = pair_files(_folders(folder, self.cameras), stems, keep_unpaired)
        return [_frame(f'{sequence}/{stem}', files, calibration) for stem, files in pairs.items()]

    def _read_calibration(self, folder: str) -> dict[str, dict[str, np.ndarray]]:
        path = os.path.join(folder, 'calib.txt')
        raw = [os.path.join(folder, file) for file in RAW_FILES]
        paths = raw if not os.path.isfile(path) and os.path.isfile(raw[0]) else [path]
        values: dict[str, KittiValue] = {}
        for path in paths:
            require_file(path, 'Expected the calibration of the sequence: calib.txt with P2 and '
                         f'Tr, or {" and ".join(RAW_FILES)}.')
            values.update(read_kitti_calibration(path))
        return _calibrate(values, self.cameras, ' and '.join(paths))


@TASK_UTILS.register_module()
class KittiObjectReader(Reader):
    """Read KITTI 3D object: ``training/{image_2,velodyne,calib}``, one calibration per frame.

    Frame ids are the stems. The rectifying rotation comes between LiDAR and camera:
    ``lidar2cam = [I | K^-1 P[:, 3]] @ R0_rect @ Tr_velo_to_cam``.

    Args:
        split: ``'training'`` or ``'testing'``.
        cameras: Image folders; ``image_N`` and ``image_0N`` belong to ``PN`` of the calibration.
        frame_list: File with stems, one per line, such as the benchmark's ``ImageSets/train.txt``,
            absolute or relative to the data root; or the list itself. ``None``: all frames.
    """

    def __init__(self,
                 split: str = 'training',
                 cameras: Sequence[str] = ('image_2', ),
                 frame_list: str | Sequence[str] | None = None) -> None:
        self.split = split
        self.cameras = _check_cameras(cameras)
        self.frame_list = frame_list

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames below ``data_root/training`` or ``testing``; see :class:`Reader`."""
        root = os.path.join(data_root, self.split)
        require_folder(root, 'Expected a KITTI object root with '
                       f'{self.split}/{{image_2,velodyne,calib}}; set data_root to it.')
        stems = None if self.frame_list is None else read_frame_list(self.frame_list, data_root)
        pairs = pair_files(_folders(root, self.cameras), stems, keep_unpaired)
        return [frame_or_broken(stem, keep_unpaired, self._read_frame, root, stem, files)
                for stem, files in pairs.items()]

    def _read_frame(self, root: str, stem: str, files: dict[str, str]) -> dict:
        path = os.path.join(root, 'calib', f'{stem}.txt')
        require_file(path, 'Expected the calibration of the frame with P2, R0_rect, '
                     'Tr_velo_to_cam.')
        return _frame(stem, files, _calibrate(read_kitti_calibration(path), self.cameras, path))


def _check_cameras(cameras: Sequence[str]) -> list[str]:
    for camera in cameras:
        if camera not in CAMERAS:
            raise ValueError(f"camera '{camera}' is unknown: expected some of {list(CAMERAS)}.")
    return list(cameras)


def _folders(root: str, cameras: Sequence[str]) -> dict[str, Folder]:
    """Return the folders of the scans and the images of each camera."""
    return {'scan': Folder(os.path.join(root, 'velodyne'), ('.bin', )),
            **{camera: Folder(os.path.join(root, camera), IMAGE_SUFFIXES) for camera in cameras}}


def _frame(frame_id: str, files: dict[str, str],
           calibration: dict[str, dict[str, np.ndarray]]) -> dict:
    """Return the entry of a frame, from its files and the calibration of each camera."""
    return dict(frame_id=frame_id, lidar_path=files['scan'], lidar_dim=LIDAR_DIM, images=[
        dict(name=camera, img_path=files[camera], **values)
        for camera, values in calibration.items()])


def _calibrate(values: dict[str, KittiValue], cameras: Sequence[str],
               path: str) -> dict[str, dict[str, np.ndarray]]:
    """Return ``cam2img``, ``lidar2cam`` and, if stated, ``image_size`` of each camera."""
    lidar2ref = kitti_lidar2ref(values, path)
    calibration = {}
    for camera in cameras:
        name = f'P{CAMERAS[camera]}'
        calibration[camera] = kitti_camera(
            take_matrix(values, name, 3, 4, path), lidar2ref, f"calibration '{path}', {name}")
        size = f'S_rect_0{CAMERAS[camera]}'  # raw recordings only
        if size in values:
            width, height = take_matrix(values, size, 1, 2, path)[0]
            calibration[camera]['image_size'] = int(width), int(height)
    return calibration
