"""Cameras of a rig by the ``rig.yaml`` of pretraining: their frames, intrinsics and poses."""
from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import NamedTuple, Sequence

import numpy as np
import torch

from ..datasets.readers.rig import RigReader
from ..errors import CalibrationInputError
from ..geometry.camera import in_view, project_points
from .inputs import FilePairs
from .intrinsics import Intrinsics, make_intrinsics
from .results import pose_difference
from .scans import load_scan

RIG = 'rig.yaml'
RIG_SUFFIXES = '.yaml', '.yml'
MIN_COMMON = 100  # points that two cameras both see if their views overlap


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


def print_relative_changes(cameras: Sequence[RigCamera], poses: dict[str, np.ndarray]) -> None:
    """Print how far new poses (4, 4), by name, change those of cameras against each other.

    Only cameras are compared that see the same points of the first scan.
    """
    name = cameras[0].pairs.names[0]
    points = load_scan(cameras[0].pairs.files[name][1], cameras[0].pairs.lidar_dim)[:, :3]
    seen = [_in_view(camera, points) for camera in cameras]
    for (one, first), (two, second) in combinations(zip(cameras, seen), 2):
        common = int((first & second).sum())
        if common >= MIN_COMMON:
            before, after = (pose @ np.linalg.inv(other) for pose, other in (
                (one.lidar2cam, two.lidar2cam), (poses[one.name], poses[two.name])))
            rotation, translation = pose_difference(after, before)
            print(f'{one.name} and {two.name}, which see {common} points in common: the pose of '
                  f'one against the other changes by {rotation:.2f} deg and {translation:.2f} m')


def _in_view(camera: RigCamera, points: np.ndarray) -> np.ndarray:
    """Return a mask (N,) of the points (N, 3) that a camera sees."""
    pixels, depth = project_points(*map(torch.from_numpy, (
        np.asarray(points, np.float64), camera.lidar2cam, camera.intrinsics.cam2img)))
    width, height = camera.intrinsics.image_size
    return in_view(pixels, depth, height, width).numpy()


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
