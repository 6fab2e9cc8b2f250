"""Find pairs of images and scans: two files, two folders, a list, a ROS recording, or a rig."""
from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from ..datasets.images import read_image
from ..datasets.readers.base import (IMAGE_SUFFIXES, Folder, describe_missing, match_files,
                                     read_frame_list)
from ..datasets.readers.rig import RigReader
from ..datasets.scan_files import SUFFIXES
from ..errors import BrokenFrameError, CalibrationInputError, describe_error
from .bags import SUFFIXES as BAG_SUFFIXES
from .bags import RecordedPairs, is_recording, read_recording
from .formats import Frames
from .intrinsics import Intrinsics, make_intrinsics
from .scans import load_scan

LIST_SUFFIX = '.txt'
RIG_SUFFIXES = '.yaml', '.yml'


class FilePairs(NamedTuple):
    """Pairs of image and scan files.

    Attributes:
        files: Image and scan file of each pair, by name of the pair.
        unusable: Reasons why other pairs cannot be used, by name.
        lidar_dim: Number of columns in raw scans.
        intrinsics: Always ``None``: image files hold no intrinsics.
        frames: Names of the coordinate frames.
    """
    files: dict[str, tuple[str, str]]
    unusable: dict[str, str]
    lidar_dim: int = 4
    intrinsics: Intrinsics | None = None
    frames: Frames = Frames()

    @property
    def names(self) -> list[str]:
        """Names of the pairs."""
        return list(self.files)

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read a pair.

        Returns:
            The image, RGB (H, W, 3) uint8, and the scan, (N, 3 or 4) float32; see
            :func:`~nclr_plugin.apis.load_scan`.

        Raises:
            CalibrationInputError: If a file cannot be read.
        """
        image, scan = self.files[name]
        try:
            return read_image(name, dict(img_path=image)), load_scan(scan, self.lidar_dim)
        except BrokenFrameError as error:
            raise CalibrationInputError(error.reason) from error


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


def find_pairs(image: str, scan: str | None = None, lidar_dim: int = 4,
               **options: Any) -> FilePairs | RecordedPairs:
    """Find pairs of images and scans.

    Args:
        image: Image, folder of images, list file (``.txt``), or recording of ROS.
        scan: Scan, or folder of scans; ``None`` for a list file or a recording. Files with the same
            stem are a pair.
        lidar_dim: Number of columns in raw scans.
        **options: Topics and others; see :func:`~nclr_plugin.apis.bags.read_recording`.

    Raises:
        CalibrationInputError: If there is no complete pair.
    """
    if scan is None and is_recording(image):
        return read_recording(image, **options)
    if options:
        raise CalibrationInputError(f"{', '.join(options)}: expected a recording "
                                    f"({', '.join(BAG_SUFFIXES)}), found '{image}'.")
    if scan is None:
        if Path(image).suffix.lower() != LIST_SUFFIX:
            raise CalibrationInputError(
                f"'{image}': expected a scan beside the image, a folder of scans beside a folder "
                f'of images, a list of pairs ({LIST_SUFFIX}), or a recording '
                f"({', '.join(BAG_SUFFIXES)}), found no second argument.")
        return FilePairs(read_pair_list(image), {}, lidar_dim)
    if os.path.isdir(image) != os.path.isdir(scan):
        raise CalibrationInputError(
            f"expected two files or two folders, found '{image}' and '{scan}'.")
    if not os.path.isdir(image):
        return FilePairs({Path(image).stem: (image, scan)}, {}, lidar_dim)
    return FilePairs(*pair_folders(image, scan), lidar_dim)


def pair_folders(images: str, scans: str) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Pair the files of two folders that have the same stem.

    Returns:
        The image and scan of each complete pair, by stem, and what each incomplete one lacks.

    Raises:
        CalibrationInputError: If there is no complete pair.
    """
    folders = dict(image=Folder(images, IMAGE_SUFFIXES), scan=Folder(scans, SUFFIXES))
    files, missing = match_files(folders)
    incomplete = {stem: f"expected its {name} in '{folders[name].path}' "
                        f"({stem}{f' or {stem}'.join(folders[name].suffixes)}), found none"
                  for name, stems in missing.items() for stem in stems}
    pairs = {stem: (os.path.join(images, file), os.path.join(scans, files['scan'][stem]))
             for stem, file in files['image'].items() if stem in files['scan']}
    if not pairs:
        raise CalibrationInputError(
            'expected images and scans with the same stems (000012.png goes with 000012.bin), '
            f'found no such pair: {describe_missing(folders, files, missing)}; rename the files.')
    return pairs, incomplete


def read_pair_list(path: str) -> dict[str, tuple[str, str]]:
    """Read a list file: an image and its scan per line.

    Paths are relative to the folder of the list; those with spaces need quotes. Blank lines and
    ``#`` comments are skipped.

    Returns:
        The image and scan of each pair, by the stem of the image; by line number if images have
        equal stems.

    Raises:
        CalibrationInputError: If the list does not exist, is empty or repeats a line, or if a line
            does not have two paths.
    """
    folder, name = os.path.split(path)
    try:
        lines = read_frame_list(name, folder)
        entries = [shlex.split(line) for line in lines]
    except (OSError, ValueError) as error:
        raise CalibrationInputError(f"list of pairs '{path}': {error}") from error
    for line, entry in zip(lines, entries):
        if len(entry) != 2:
            raise CalibrationInputError(
                f"list of pairs '{path}': expected an image and a scan per line, found '{line}'; "
                'put paths with spaces in quotes.')
    pairs = [(os.path.join(folder, image), os.path.join(folder, scan)) for image, scan in entries]
    stems = [Path(image).stem for image, _ in pairs]
    if len(set(stems)) < len(stems):
        stems = [f'{number:04d}' for number in range(1, len(pairs) + 1)]
    return dict(zip(stems, pairs))


def read_initial(path: str) -> Any:
    """Read ``lidar2cam`` from a YAML file; the calibrator checks it.

    Raises:
        CalibrationInputError: If the file or the entry does not exist.
    """
    try:
        with open(path, encoding='utf-8') as stream:
            return yaml.safe_load(stream)['lidar2cam']
    except (KeyError, TypeError):
        found = 'no such entry'
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        found = describe_error(error)
    raise CalibrationInputError(f"initial guess '{path}': expected a YAML file with lidar2cam, "
                                f'4 rows of 4 numbers, found: {found}')


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
