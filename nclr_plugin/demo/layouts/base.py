"""Base class of layouts."""
from __future__ import annotations

import abc
import os
from typing import Any, List, Mapping, NamedTuple, Tuple

import numpy as np

from ..frame import CameraMount, Frame, LidarMount, Split, beam_elevations
from ..options import DemoOptions


class Job(NamedTuple):
    """A frame to generate: scene ``index`` of a split, in a town of that split."""
    split: Split
    town: int
    index: int


class Layout(abc.ABC):
    """Writer of frames in the folders of a public data set.

    Args:
        root: Folder of the data set.
        options: Options of the generator.
    """
    image_size: Tuple[int, int]
    beams = 64
    azimuths = 1800
    sensor_height = 1.73

    def __init__(self, root: str, options: DemoOptions) -> None:
        self.root, self.options = root, options

    def jobs(self) -> List[Job]:
        """List the frames to generate."""
        options = self.options
        jobs = [Job(Split.TRAIN, i % options.towns, i) for i in range(options.scenes)]
        return jobs + [Job(Split.VAL, 0, i) for i in range(options.val_scenes)]

    @abc.abstractmethod
    def mounts(self, job: Job) -> Tuple[Mapping[str, CameraMount], LidarMount]:
        """Return the mounts of a frame: cameras by name, and the LiDAR."""

    @abc.abstractmethod
    def write(self, job: Job, frame: Frame) -> Any:
        """Write the files of one frame, and return what :meth:`finish` needs of it."""

    @abc.abstractmethod
    def finish(self, records: List[Tuple[Job, Any]]) -> List[str]:
        """Write the files that describe several frames.

        Args:
            records: Jobs in order, with what :meth:`write` returned.

        Returns:
            Lines that describe what was written where.
        """

    def path(self, *names: str) -> str:
        """Return a path below the root, and create its folder."""
        path = os.path.join(self.root, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def lidar(self, lidar2ego: np.ndarray) -> LidarMount:
        """Return the LiDAR of the options, mounted at a pose with the height of the options."""
        options = self.options
        lidar2ego = lidar2ego.copy()
        lidar2ego[2, 3] = options.sensor_height or self.sensor_height
        return LidarMount(beam_elevations(options.beams or self.beams), options.azimuths
                          or self.azimuths, lidar2ego)


def write_image(path: str, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image in the format of the suffix."""
    import cv2
    if not cv2.imwrite(path, image[..., ::-1]):
        raise OSError(f"image '{path}': could not be written.")
