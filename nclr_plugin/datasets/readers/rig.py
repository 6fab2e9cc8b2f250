"""Reader of a user's own rig: folders and one YAML file."""
from __future__ import annotations

import os
from typing import Any, Dict, List, Sequence, Union

from mmengine.registry import TASK_UTILS

from .calibration import check_cam2img, check_lidar2cam
from .pairing import (IMAGE_SUFFIXES, Folder, pair_files, read_frame_list, require_file,
                      require_folder)

LIDAR_KEYS = dict(required=('folder', 'dim'), optional=('suffix', 'intensity_scale'))
CAMERA_KEYS = dict(
    required=('name', 'folder', 'cam2img', 'lidar2cam', 'image_size'), optional=())


@TASK_UTILS.register_module()
class RigReader:
    """Folders of images and scans plus one YAML file with the calibration.

    The images are undistorted. A frame is a stem that every folder has: ``lidar/000012.bin`` goes
    with ``front/000012.png``; it is the frame's id. The file::

        lidar:
          folder: lidar            # below the data root
          dim: 4                   # columns of a point: x, y, z, intensity, ...
          suffix: .bin             # or .npy; .bin is raw float32
          intensity_scale: 1.0     # what turns the fourth column into 0..1
        cameras:
          - name: front
            folder: front
            image_size: [1920, 1080]         # width, height
            cam2img: [[1000, 0, 960], [0, 1000, 540], [0, 0, 1]]
            lidar2cam: [[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]

    ``suffix`` and ``intensity_scale`` may be left out.

    Args:
        rig_file: The YAML file, absolute or relative to the data root.
        frame_list: List of stems, one a line; absolute or relative to the data root, or the list
            itself. All frames when None.
    """

    def __init__(self,
                 rig_file: str = 'rig.yaml',
                 frame_list: Union[str, Sequence[str], None] = None) -> None:
        self.rig_file = rig_file
        self.frame_list = frame_list

    def read(self, data_root: str, keep_unpaired: bool = False) -> List[dict]:
        """List the frames, with their calibration.

        Args:
            data_root: Folder that holds the folders of the rig.
            keep_unpaired: See :func:`pair_files`.

        Returns:
            Frames as :class:`CalibrationDataset` keeps them.

        Raises:
            FileNotFoundError: If the file, a folder, or a file of a frame is absent.
            ValueError: If the file is no YAML, or misses or adds a key, or a matrix is none.
        """
        require_folder(data_root, 'Expected the folder of the rig; set data_root to it.')
        path = os.path.join(data_root, self.rig_file)
        lidar, cameras = _read_rig(path)
        stems = None if self.frame_list is None else read_frame_list(self.frame_list, data_root)
        suffix = lidar.get('suffix', '.bin')
        folders = {'lidar': Folder(os.path.join(data_root, lidar['folder']), (suffix, ))}
        views = [_calibration(path, camera) for camera in cameras]
        for camera, view in zip(cameras, views):
            folders['camera ' + view['name']] = Folder(
                os.path.join(data_root, camera['folder']), IMAGE_SUFFIXES)
        return [
            dict(
                frame_id=stem,
                lidar_path=files['lidar'],
                lidar_dim=int(lidar['dim']),
                intensity_scale=float(lidar.get('intensity_scale', 1.0)),
                images=[dict(img_path=files['camera ' + view['name']], **view) for view in views])
            for stem, files in pair_files(folders, stems, keep_unpaired).items()
        ]


def _read_rig(path: str):
    """The LiDAR's and the cameras' entries, their keys checked."""
    import yaml  # comes with mmengine

    require_file(path, 'Expected the description of the rig (rig_file) with lidar and cameras.')
    with open(path, encoding='utf-8') as file:
        try:
            rig = yaml.safe_load(file)
        except yaml.YAMLError as error:
            raise ValueError(f"rig file '{path}': expected YAML, found: {error}") from error
    _check_keys(rig, f"rig file '{path}'", required=('lidar', 'cameras'))
    _check_keys(rig['lidar'], f"rig file '{path}', lidar", **LIDAR_KEYS)
    if rig['lidar'].get('suffix', '.bin') not in ('.bin', '.npy'):
        raise ValueError(f"rig file '{path}', lidar: expected suffix .bin or .npy, found "
                         f"'{rig['lidar']['suffix']}'.")
    if not isinstance(rig['cameras'], list) or not rig['cameras']:
        raise ValueError(f"rig file '{path}', cameras: expected a list of at least one camera, "
                         f"found {rig['cameras']!r}.")
    for number, camera in enumerate(rig['cameras']):
        _check_keys(camera, f"rig file '{path}', camera {number}", **CAMERA_KEYS)
    names = [camera['name'] for camera in rig['cameras']]
    if len(set(names)) < len(names):
        raise ValueError(f"rig file '{path}': expected different names of cameras, found {names}.")
    return rig['lidar'], rig['cameras']


def _check_keys(entry: Any, where: str, required=(), optional=()) -> None:
    found = set(entry) if isinstance(entry, dict) else set()
    if not set(required) <= found or not found <= set(required) | set(optional):
        raise ValueError(
            f'{where}: expected the keys {list(required)}'
            f'{" and perhaps " + str(list(optional)) if optional else ""}, found '
            f'{sorted(map(str, found)) if isinstance(entry, dict) else repr(entry)}.')


def _calibration(path: str, camera: Dict[str, Any]) -> Dict[str, Any]:
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
