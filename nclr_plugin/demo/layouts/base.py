"""Options of the demo data generator, and the base class of layouts."""
from __future__ import annotations

import abc
import os
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple

import cv2
import numpy as np

from ..frame import CameraMount, Frame, LidarMount, Split, beam_elevations
from ..scene import HEADINGS


@dataclass(frozen=True)
class DemoOptions:
    """Options of the generator; ``None`` means the default of the layout.

    Attributes:
        scenes: Number of training scenes.
        val_scenes: Number of validation scenes, in towns of their own.
        seed: Random seed.
        towns: Number of training towns; scene i is in town ``i % towns``.
        heading: ``'road'`` or ``'free'``, see :func:`build_scene`.
        image_size: Image (width, height), pixels.
        focal: Focal length, pixels; the default scales with the image width.
        beams: Number of LiDAR beams, 64 or 32.
        azimuths: Number of azimuth steps per LiDAR turn.
        sensor_height: Height of the LiDAR above the ground, metres.
    """
    scenes: int
    val_scenes: int = 0
    seed: int = 0
    towns: int = 4
    heading: str = 'road'
    image_size: tuple[int, int] | None = None
    focal: float | None = None
    beams: int | None = None
    azimuths: int | None = None
    sensor_height: float | None = None

    def __post_init__(self) -> None:
        for name, least in (('scenes', 0), ('val_scenes', 0), ('seed', 0), ('towns', 1)):
            if getattr(self, name) < least:
                raise ValueError(f'{name}: expected at least {least}, found {getattr(self, name)}.')
        if self.scenes + self.val_scenes == 0:
            raise ValueError('scenes: expected at least one scene in total, found none.')
        if self.heading not in HEADINGS:
            raise ValueError(f'heading: expected one of {HEADINGS}, found {self.heading!r}.')
        if self.image_size is not None and min(self.image_size) < 16:
            raise ValueError(f'image_size: expected at least 16 x 16, found {self.image_size}.')
        if self.azimuths is not None and self.azimuths < 16:
            raise ValueError(f'azimuths: expected at least 16, found {self.azimuths}.')
        for name in ('focal', 'sensor_height'):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f'{name}: expected more than 0, found {value}.')
        if self.beams is not None:
            beam_elevations(self.beams)


class Job(NamedTuple):
    """A frame to generate: scene ``index`` of a split, in a town of that split."""
    split: Split
    town: int
    index: int


class Layout(abc.ABC):
    """Base class that writes frames in the layout of a public data set.

    Args:
        root: Folder of the data set.
        options: Options of the generator.
    """
    image_size: tuple[int, int]
    beams = 64
    azimuths = 1800
    sensor_height = 1.73

    def __init__(self, root: str, options: DemoOptions) -> None:
        self.root, self.options = root, options

    def jobs(self) -> list[Job]:
        """List the frames to generate."""
        options = self.options
        jobs = [Job(Split.TRAIN, i % options.towns, i) for i in range(options.scenes)]
        return jobs + [Job(Split.VAL, 0, i) for i in range(options.val_scenes)]

    @abc.abstractmethod
    def mounts(self, job: Job) -> tuple[Mapping[str, CameraMount], LidarMount]:
        """Return the mounts of a frame: cameras by name, and the LiDAR."""

    @abc.abstractmethod
    def write(self, job: Job, frame: Frame) -> Any:
        """Write the files of one frame, and return its record for :meth:`finish`."""

    @abc.abstractmethod
    def finish(self, records: list[tuple[Job, Any]]) -> list[str]:
        """Write the files that describe several frames.

        Args:
            records: Jobs in order, with their records from :meth:`write`.

        Returns:
            Lines that report the written frames and their paths.
        """

    def path(self, *names: str) -> str:
        """Return a path below the root, and create its folder."""
        path = os.path.join(self.root, *names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def lidar(self, lidar2ego: np.ndarray) -> LidarMount:
        """Return the LiDAR at a pose, with beams, azimuths and height from the options."""
        options = self.options
        lidar2ego = lidar2ego.copy()
        lidar2ego[2, 3] = options.sensor_height or self.sensor_height
        return LidarMount(beam_elevations(options.beams or self.beams), options.azimuths
                          or self.azimuths, lidar2ego)


def write_image(path: str, image: np.ndarray) -> None:
    """Write an (H, W, 3) uint8 RGB image in the format of the file suffix."""
    if not cv2.imwrite(path, image[..., ::-1]):
        raise OSError(f"image '{path}': could not be written.")
