"""Reader of a custom rig: folders and one YAML file."""
from __future__ import annotations

import os
from typing import Any, Sequence

import numpy as np
from mmengine.logging import print_log
from mmengine.registry import TASK_UTILS
import yaml

from ...errors import ScanError, describe_error
from ..scan_files import RAW_SUFFIXES, SUFFIXES, read_columns
from ..scans import (PERCENTILE, drop_invalid_rows, evenly_spaced, guess_intensity_scale,
                     intensity_level)
from .base import (IMAGE_SUFFIXES, Folder, Reader, list_files, pair_files, read_frame_list,
                   require_file, require_folder)
from .calibration import check_cam2img, check_lidar2cam

LIDAR_KEYS = dict(required=('folder', ), optional=('dim', 'suffix', 'intensity_scale'))
CAMERA_KEYS = dict(
    required=('name', 'folder', 'cam2img', 'lidar2cam', 'image_size'), optional=())


@TASK_UTILS.register_module()
class RigReader(Reader):
    """Read folders of images and scans, and one YAML file with the calibration.

    The images must be undistorted. Files of a frame have the same stem, the frame id:
    ``lidar/000012.bin`` belongs to ``front/000012.png``. The YAML file::

        lidar:
          folder: lidar            # below the data root
          dim: 4                   # columns of .bin and .npy: x, y, z, intensity, ...
          suffix: .bin             # or .npy, .pcd, .ply; .bin is raw float32
          intensity_scale: 1.0     # factor that scales the intensity to 0..1
        cameras:
          - name: front
            folder: front
            image_size: [1920, 1080]         # width, height
            cam2img: [[1000, 0, 960], [0, 1000, 540], [0, 0, 1]]
            lidar2cam: [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]

    ``suffix`` and ``intensity_scale`` are optional, and so is ``dim`` for files with named fields
    (.pcd, .ply). Without ``intensity_scale``, the 99th percentile of the intensities of a few scans
    decides whether they are 0..1, 0..255 or 0..65535, and the log says so.

    Args:
        rig_file: YAML file, absolute or relative to the data root.
        frame_list: File with stems, one per line, absolute or relative to the data root; or the
            list itself. ``None``: all frames.
    """

    def __init__(self,
                 rig_file: str = 'rig.yaml',
                 frame_list: str | Sequence[str] | None = None) -> None:
        self.rig_file = rig_file
        self.frame_list = frame_list

    def read(self, data_root: str, keep_unpaired: bool = False) -> list[dict]:
        """List the frames of the rig; see :class:`Reader`.

        Raises:
            FileNotFoundError: If the YAML file, a folder, or a file of a frame is absent.
            ValueError: If the YAML file lacks a key, has an unknown key or an invalid matrix; or if
                the scale of the intensities is unknown.
        """
        require_folder(data_root, 'Expected the folder of the rig; set data_root to it.')
        path = os.path.join(data_root, self.rig_file)
        lidar, cameras = _read_rig(path)
        stems = None if self.frame_list is None else read_frame_list(self.frame_list, data_root)
        suffix = lidar.get('suffix', '.bin').lower()
        folders = {'lidar': Folder(os.path.join(data_root, lidar['folder']), (suffix, ))}
        views = [_calibration(path, camera) for camera in cameras]
        for camera, view in zip(cameras, views):
            folders['camera ' + view['name']] = Folder(
                os.path.join(data_root, camera['folder']), IMAGE_SUFFIXES)
        pairs = pair_files(folders, stems, keep_unpaired)
        dim = int(lidar.get('dim', 4))
        scale = lidar.get('intensity_scale')
        if scale is None:
            scale = _find_intensity_scale(path, folders['lidar'], dim)
        return [
            dict(
                frame_id=stem,
                lidar_path=files['lidar'],
                lidar_dim=dim,
                intensity_scale=float(scale),
                images=[dict(img_path=files['camera ' + view['name']], **view) for view in views])
            for stem, files in pairs.items()
        ]


def _find_intensity_scale(rig_file: str, folder: Folder, dim: int) -> float:
    """Find the scale of the intensities from scans of the whole folder, listed or not."""
    levels = []
    for scan in evenly_spaced(list(list_files(folder).values())):
        try:
            points = drop_invalid_rows(read_columns(os.path.join(folder.path, scan), dim))[0]
        except ScanError:
            continue  # the data set reports the reason
        if points.shape[1] > 3:
            levels.append(intensity_level(points[:, 3]))
    if not levels:
        return 1.
    scale = guess_intensity_scale(levels)
    if scale is None:
        raise ValueError(
            f"rig file '{rig_file}', lidar: expected intensities of 0..1, 0..255 or 0..65535, "
            f'found {PERCENTILE}% of them up to {max(levels):.4g} in {len(levels)} scans; set '
            'intensity_scale, the factor to 0..1, or dim, if these are no intensities.')
    print_log(
        f"rig file '{rig_file}', lidar: {PERCENTILE}% of the intensities are up to "
        f'{np.median(levels):.4g} in {len(levels)} scans; they are taken as 0..{1 / scale:.0f} '
        f'(intensity_scale: {scale:.7g}). Write the right value into the file.',
        logger='current')
    return scale


def _read_rig(path: str):
    """Return the entries of the LiDAR and of the cameras; check their keys."""
    require_file(path, 'Expected the description of the rig (rig_file) with lidar and cameras.')
    with open(path, encoding='utf-8') as file:
        try:
            rig = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise ValueError(f"rig file '{path}': expected YAML, found: "
                             f'{describe_error(error)}') from error
    _check_keys(rig, f"rig file '{path}'", required=('lidar', 'cameras'))
    _check_keys(rig['lidar'], f"rig file '{path}', lidar", **LIDAR_KEYS)
    _check_lidar(rig['lidar'], f"rig file '{path}', lidar")
    if not isinstance(rig['cameras'], list) or not rig['cameras']:
        raise ValueError(f"rig file '{path}', cameras: expected a list of at least one camera, "
                         f"found {rig['cameras']!r}.")
    for number, camera in enumerate(rig['cameras']):
        _check_keys(camera, f"rig file '{path}', camera {number}", **CAMERA_KEYS)
    names = [camera['name'] for camera in rig['cameras']]
    if len(set(names)) < len(names):
        raise ValueError(f"rig file '{path}': expected different names of cameras, found {names}.")
    return rig['lidar'], rig['cameras']


def _check_lidar(lidar: dict, where: str) -> None:
    suffix = str(lidar.get('suffix', '.bin')).lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{where}: expected suffix {', '.join(SUFFIXES)}, found '{suffix}'.")
    dim = lidar.get('dim', None if suffix in RAW_SUFFIXES else 4)
    if not isinstance(dim, int) or dim < 3:
        raise ValueError(f'{where}: expected dim, the columns of a point in {suffix} files, '
                         f'3 or more, found {dim}.')
    scale = lidar.get('intensity_scale')
    if scale is not None and not (isinstance(scale, (int, float)) and 0 < scale < np.inf):
        raise ValueError(f'{where}: expected intensity_scale, a number above 0 that turns '
                         f'intensities into 0..1, found {scale!r}.')


def _check_keys(entry: Any, where: str, required=(), optional=()) -> None:
    found = set(entry) if isinstance(entry, dict) else set()
    if not set(required) <= found or not found <= set(required) | set(optional):
        raise ValueError(
            f'{where}: expected the keys {list(required)}'
            f'{" and perhaps " + str(list(optional)) if optional else ""}, found '
            f'{sorted(map(str, found)) if isinstance(entry, dict) else repr(entry)}.')


def _calibration(path: str, camera: dict[str, Any]) -> dict[str, Any]:
    where = f"rig file '{path}', camera {camera['name']}"
    size = camera['image_size']
    if not isinstance(size, list) or len(size) != 2 or not all(
            isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f'{where}, image_size: expected [width, height] in pixels, '
                         f'found {size!r}.')
    return dict(
        name=str(camera['name']),
        image_size=tuple(size),
        cam2img=check_cam2img(camera['cam2img'], f'{where}, cam2img'),
        lidar2cam=check_lidar2cam(camera['lidar2cam'], f'{where}, lidar2cam'))
