"""Cameras of a rig by the ``rig.yaml`` of pretraining: their frames, intrinsics and poses."""
from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..datasets.readers.rig import RigReader
from ..errors import CalibrationInputError
from .inputs import FilePairs
from .intrinsics import Intrinsics, make_intrinsics

RIG = 'rig.yaml'
RIG_SUFFIXES = '.yaml', '.yml'


class RigCamera(NamedTuple):
    """One camera of a rig.

    Attributes:
        name: Name in the file.
        pairs: Its images, with the scans of the LiDAR.
        intrinsics: Intrinsics of its images, which are undistorted.
        lidar2cam: (4, 4), the pose in the file.
        intensity_scale: Factor that scales intensities to 0..1.
    """
    name: str
    pairs: FilePairs
    intrinsics: Intrinsics
    lidar2cam: np.ndarray
    intensity_scale: float


def is_rig(path: str) -> bool:
    """Return whether a path names a ``rig.yaml`` rather than images."""
    return Path(path).suffix.lower() in RIG_SUFFIXES


def read_rig(path: str) -> list[RigCamera]:
    """Read the cameras of a rig; see :class:`~nclr_plugin.datasets.RigReader` for the format.

    Raises:
        CalibrationInputError: If the file or a folder is absent or invalid.
    """
    root, file = os.path.split(os.path.abspath(path))
    try:
        frames = RigReader(file).read(root)
    except (ValueError, OSError) as error:
        raise CalibrationInputError(str(error)) from error
    cameras = []
    for number, camera in enumerate(frames[0]['images']):
        files = {frame['frame_id']: (frame['images'][number]['img_path'], frame['lidar_path'])
                 for frame in frames}
        cameras.append(RigCamera(
            camera['name'], FilePairs(files, {}, frames[0]['lidar_dim']),
            make_intrinsics(camera['cam2img'], image_size=camera['image_size']),
            np.asarray(camera['lidar2cam'], np.float64), frames[0]['intensity_scale']))
    return cameras


def write_rig(path: str, out: str, poses: dict[str, np.ndarray]) -> None:
    """Copy a ``rig.yaml`` to a folder, with other poses (4, 4) by name of the camera.

    Its folders become absolute paths, so that the copy can be used where it is.
    """
    import yaml  # comes with mmengine

    with open(path, encoding='utf-8') as stream:
        rig = yaml.safe_load(stream)
    root = os.path.dirname(os.path.abspath(path))
    for entry in (rig['lidar'], *rig['cameras']):
        entry['folder'] = os.path.join(root, entry['folder'])
    for camera in rig['cameras']:
        camera['lidar2cam'] = poses[str(camera['name'])].tolist()
    target = Path(out) / RIG
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, 'w', encoding='utf-8') as stream:
        yaml.safe_dump(rig, stream, sort_keys=False, default_flow_style=None)
    print(f'written: {target}')
