"""What a layout on disk has to provide."""
from __future__ import annotations

import abc
import os
from typing import Any, List, Mapping, NamedTuple, Tuple

import numpy as np

from ..frame import CameraMount, Frame, LidarMount, Split, beam_elevations
from ..options import DemoOptions


class Job(NamedTuple):
    """One frame to be made: scene ``index`` of a split, in a town of that split."""
    split: Split
    town: int
    index: int


class Layout(abc.ABC):
    """Writes frames as one data set's folders.

    Args:
        root: Folder of the data set.
        options: What was asked for.
    """
    image_size: Tuple[int, int]
    beams = 64
    azimuths = 1800
    sensor_height = 1.73

    def __init__(self, root: str, options: DemoOptions) -> None:
        self.root, self.options = root, options

    def jobs(self) -> List[Job]:
        """List the frames to be made."""
        options = self.options
        jobs = [Job(Split.TRAIN, i % options.towns, i) for i in range(options.scenes)]
        return jobs + [Job(Split.VAL, 0, i) for i in range(options.val_scenes)]

    @abc.abstractmethod
    def mounts(self, job: Job) -> Tuple[Mapping[str, CameraMount], LidarMount]:
        """Return the cameras by name and the LiDAR of a frame."""

    @abc.abstractmethod
    def write(self, job: Job, frame: Frame) -> Any:
        """Write the files of one frame; what it returns is given to :meth:`finish`."""

    @abc.abstractmethod
    def finish(self, records: List[Tuple[Job, Any]]) -> List[str]:
        """Write the files that concern many frames.

        Args:
            records: Jobs in order, with what :meth:`write` returned.

        Returns:
            Lines that say what was written where.
        """

    def path(self, *names: str) -> str:
        """Path below the root; its folder is made."""
        path = os.path.join(self.root, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def lidar(self, lidar2ego: np.ndarray) -> LidarMount:
        """The LiDAR asked for, mounted at a pose whose height may be overridden."""
        options = self.options
        lidar2ego = lidar2ego.copy()
        lidar2ego[2, 3] = options.sensor_height or self.sensor_height
        return LidarMount(beam_elevations(options.beams or self.beams), options.azimuths
                          or self.azimuths, lidar2ego)


def write_image(path: str, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image; the suffix decides the format."""
    import cv2
    if not cv2.imwrite(path, image[..., ::-1]):
        raise OSError(f"image '{path}': could not be written.")
