"""Find pairs of images and scans: two files, two folders, a list file, or a recording of ROS."""
from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..datasets.images import read_image
from ..datasets.readers.base import (IMAGE_SUFFIXES, Folder, describe_missing, match_files,
                                     read_frame_list)
from ..datasets.scan_files import SUFFIXES
from ..errors import BrokenFrameError, CalibrationInputError
from .bags import SUFFIXES as BAG_SUFFIXES
from .bags import RecordedPairs, is_recording, read_recording
from .formats import Frames
from .intrinsics import Intrinsics
from .scans import load_scan

LIST_SUFFIX = '.txt'


class FilePairs(NamedTuple):
    """Pairs of image and scan files.

    Attributes:
        files: Image and scan file of each pair, by name of the pair.
        unusable: Reasons why further pairs cannot be used, by name.
        lidar_dim: Number of columns in raw scans.
        intrinsics: ``None``: files of images hold none.
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


def find_pairs(image: str, scan: str | None = None, lidar_dim: int = 4,
               **options: Any) -> FilePairs | RecordedPairs:
    """Find pairs of images and scans.

    Args:
        image: Image, folder of images, list file (``.txt``), or recording of ROS.
        scan: Scan, or folder of scans; ``None`` beside a list file or a recording. Files with the
            same stem are a pair.
        lidar_dim: Number of columns in raw scans.
        **options: Topics and others; see :func:`~nclr_plugin.apis.bags.read_recording`.

    Raises:
        CalibrationInputError: If there is no complete pair.
    """
    if scan is None and is_recording(image):
        return read_recording(image, **options)
    if options:
        raise CalibrationInputError(f"{', '.join(options)}: expected a recording beside it "
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

    Paths are relative to the folder of the list; those with spaces stand in quotes. Blank lines and
    ``#`` comments are skipped.

    Returns:
        The image and scan of each pair, by the stem of the image; by line number if images have
        equal stems.

    Raises:
        CalibrationInputError: If the list does not exist, is empty, repeats a line, or a line has
            not two paths.
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
    import yaml  # comes with mmengine

    try:
        with open(path, encoding='utf-8') as stream:
            return yaml.safe_load(stream)['lidar2cam']
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CalibrationInputError(f"initial guess '{path}': expected a YAML file with lidar2cam, "
                                    f'4 rows of 4 numbers, found a fault: {error}') from error
