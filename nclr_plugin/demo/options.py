"""Options of the demo data generator."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

from .frame import beam_elevations
from .scene import HEADINGS


@dataclass(frozen=True)
class DemoOptions:
    """Options of the generator; ``None`` stands for the default of the layout.

    Attributes:
        scenes: Number of training scenes.
        val_scenes: Number of validation scenes, in a town of their own.
        seed: Random seed.
        towns: Number of training towns; scene i is in town ``i % towns``.
        heading: ``'road'`` or ``'free'``, see :func:`build_scene`.
        image_size: Image (width, height), pixels.
        focal: Focal length, pixels; the default is scaled with the image width.
        beams: Number of LiDAR beams, 64 or 32.
        azimuths: Number of azimuth steps of a LiDAR turn.
        sensor_height: Height of the LiDAR above the ground, metres.
    """
    scenes: int
    val_scenes: int = 0
    seed: int = 0
    towns: int = 4
    heading: str = 'road'
    image_size: Optional[Tuple[int, int]] = None
    focal: Optional[float] = None
    beams: Optional[int] = None
    azimuths: Optional[int] = None
    sensor_height: Optional[float] = None

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
