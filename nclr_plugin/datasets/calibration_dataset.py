"""Scans, images and calibration, from any reader."""
from __future__ import annotations

from typing import Any, Callable, Iterator, List, Tuple, Union

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TASK_UTILS

from .errors import BrokenFrameError, DataLayoutError


@DATASETS.register_module()
class CalibrationDataset(BaseDataset):
    """Frames of one LiDAR scan and V calibrated images each.

    A reader lists the frames when the data set is built: it pairs the files and checks the
    calibration before training starts. An entry of the list is::

        dict(frame_id='00/000012', lidar_path=..., lidar_dim=4,
             images=[dict(name='image_2', img_path=..., cam2img=(3, 3), lidar2cam=(4, 4))])

    optionally with ``intensity_scale`` (what turns the scan's fourth column into 0..1) and, in an
    image, ``image_size`` (width, height in pixels).

    A sample is a pure function of (seed, index): all randomness of the pipeline comes from
    ``results['rng']``, a generator seeded by ``(seed, epoch, i)`` with
    ``epoch, i = divmod(index, len(self))``. An index beyond the length is thus a later pass over
    the same frames, with other placements; see :class:`SeededInfiniteSampler`.

    Args:
        data_root: Root folder of the data.
        reader: Config of a reader, or one (an object with ``read(data_root, keep_unpaired)``).
        pipeline: Transforms, from ``LoadScan`` to ``PackCalibrationInputs``.
        seed: Seed of all randomness.
        skip_broken: Take the next frame when one is broken, and note that in the sample's
            ``skipped_frames``. Frames that miss a file are then kept in the list and skipped like
            any broken one.
        max_skipped: Broken frames in a row after which ``skip_broken`` gives up.
        **kwargs: Of mmengine's ``BaseDataset``: ``indices``, ``test_mode``, ``serialize_data``,
            ``lazy_init``, ``metainfo``.

    Raises:
        FileNotFoundError, ValueError: By the reader, when the data set is built.
    """

    def __init__(self,
                 data_root: str,
                 reader: Union[dict, Any],
                 pipeline: List[Union[dict, Callable]],
                 seed: int = 0,
                 skip_broken: bool = False,
                 max_skipped: int = 10,
                 **kwargs) -> None:
        self.reader = TASK_UTILS.build(reader) if isinstance(reader, dict) else reader
        self.seed = seed
        self.skip_broken = skip_broken
        self.max_skipped = max_skipped
        super().__init__(data_root=data_root, data_prefix={}, pipeline=pipeline, **kwargs)

    def load_data_list(self) -> List[dict]:
        """List the frames; see the class.

        Returns:
            One dict a frame.

        Raises:
            DataLayoutError: If there is none, or if a calibration, list or info file is wrong.
        """
        try:
            frames = self.reader.read(self.data_root, keep_unpaired=self.skip_broken)
        except ValueError as error:
            raise DataLayoutError(str(error)) from error
        if not frames:
            raise DataLayoutError(f"data_root '{self.data_root}': expected frames, but "
                                  f'{type(self.reader).__name__} found none; check its settings.')
        return frames

    def __iter__(self) -> Iterator[dict]:
        """One pass over the frames; indices themselves never end."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict:
        """Load and transform one frame.

        Args:
            index: ``epoch * len(self) + i``, not negative.

        Returns:
            What the pipeline returns.

        Raises:
            IndexError: If the index is negative.
            BrokenFrameError: If the frame is broken and ``skip_broken`` is off, or more than
                ``max_skipped`` frames in a row are.
        """
        if index < 0:
            raise IndexError(f'expected an index >= 0 (epoch * {len(self)} + i), found {index}.')
        epoch, first = divmod(index, len(self))
        skipped: List[Tuple[str, str]] = []
        while True:
            results = self.get_data_info((first + len(skipped)) % len(self))
            # Seeded by what was asked for: a stand-in differs from the frame's own sample.
            results['rng'] = np.random.default_rng((self.seed, epoch, first))
            results['skipped_frames'] = list(skipped)
            try:
                return self.pipeline(results)
            except BrokenFrameError as error:
                if not self.skip_broken:
                    raise
                skipped.append((error.frame_id, error.reason))
                if len(skipped) > min(self.max_skipped, len(self) - 1):
                    reasons = '; '.join(f'{frame_id}: {reason}' for frame_id, reason in skipped)
                    raise BrokenFrameError(
                        error.frame_id, f'{len(skipped)} frames in a row are broken, of '
                        f'{len(self)} (max_skipped is {self.max_skipped}): {reasons}') from error
