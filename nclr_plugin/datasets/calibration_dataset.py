"""Scans, images and calibration, from any reader."""
from __future__ import annotations

import logging
from typing import Any, Callable, Iterator

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS, TASK_UTILS

from ..errors import BrokenFrameError, DataLayoutError, ScanColumnsError, ScanError
from .readers.calibration import check_pose
from .readers.base import shorten
from .scans import DroppedRows, evenly_spaced, load_points
from .transforms.loading import LoadImages, LoadPoints


@DATASETS.register_module()
class CalibrationDataset(BaseDataset):
    """Frames of one LiDAR scan and V calibrated images each.

    A reader lists the frames when the data set is built: it pairs the files and checks the
    calibration before training starts. An entry of the list is::

        dict(frame_id='00/000012', lidar_path=..., lidar_dim=4,
             images=[dict(name='image_2', img_path=..., cam2img=(3, 3), lidar2cam=(4, 4))])

    optionally with ``intensity_scale`` (factor that scales the scan's fourth column to 0..1,
    default 1), ``sweeps`` (dicts of ``lidar_path`` and ``sweep2lidar``, for
    :class:`AccumulateSweeps`) and, in an image, ``image_size`` (width, height in pixels). A frame
    that the reader marks as broken is ``dict(frame_id=..., broken=reason)``.

    A sample is a pure function of (seed, index): all randomness of the pipeline comes from
    ``results['rng']``, a generator seeded by ``(seed, epoch, i)`` with
    ``epoch, i = divmod(index, len(self))``. An index beyond the length is thus a later pass over
    the same frames, with other random transforms; see :class:`SeededInfiniteSampler`.
    ``results['dataset']`` is the data set itself, for transforms that mix frames.

    Args:
        data_root: Root folder of the data.
        reader: Config of a reader, or one (an object with ``read(data_root, keep_unpaired)``).
        pipeline: Transforms, from ``LoadPoints`` to ``PackCalibrationInputs``.
        seed: Seed of all randomness.
        skip_broken: Replace a broken frame by the next one, and record it in the sample's
            ``skipped_frames``. Frames without a file or a calibration are then listed and skipped,
            too.
        max_skipped: Number of broken frames in a row after which ``skip_broken`` raises.
        mismatched_image_control: Double the data set: sample ``N + i`` is sample i with the images
            of another frame, view by view. Scan, random transform, intrinsics and extrinsics stay.
            A correct prediction there is a guess from the scan alone. For evaluation only.
        repeats: Number of samples per frame in a pass, each with its own random transform; for
            evaluation on few frames.
        **kwargs: Arguments of mmengine's ``BaseDataset``: ``indices``, ``test_mode``,
            ``serialize_data``, ``lazy_init``, ``metainfo``.

    Raises:
        FileNotFoundError, ValueError: Raised by the reader when the data set is built.
        ValueError: If ``mismatched_image_control`` is set without ``test_mode``, or ``repeats`` is
            less than 1.
        DataLayoutError: If ``mismatched_image_control`` has fewer than two frames.
    """

    def __init__(self,
                 data_root: str,
                 reader: dict | Any,
                 pipeline: list[dict | Callable],
                 seed: int = 0,
                 skip_broken: bool = False,
                 max_skipped: int = 10,
                 mismatched_image_control: bool = False,
                 repeats: int = 1,
                 **kwargs) -> None:
        self.reader = TASK_UTILS.build(reader) if isinstance(reader, dict) else reader
        self.seed = seed
        self.skip_broken = skip_broken
        self.max_skipped = max_skipped
        if mismatched_image_control and not kwargs.get('test_mode', False):
            raise ValueError('CalibrationDataset: samples of mismatched_image_control are not '
                             'for training; expected test_mode=True, found False.')
        self.mismatched_image_control = mismatched_image_control
        if repeats < 1:
            raise ValueError(f'CalibrationDataset: expected repeats >= 1, found {repeats}.')
        self.repeats = repeats
        super().__init__(data_root=data_root, data_prefix={}, pipeline=pipeline, **kwargs)
        self._metainfo['mismatched_image_control'] = mismatched_image_control

    def load_data_list(self) -> list[dict]:
        """List the frames; see the class.

        Returns:
            One dict a frame.

        Raises:
            DataLayoutError: If there is no frame, if a calibration, list or info file is invalid,
                or if the scans have other columns or intensities than stated.
        """
        try:
            frames = self.reader.read(self.data_root, keep_unpaired=self.skip_broken)
        except ValueError as error:
            raise DataLayoutError(str(error)) from error
        if not frames:
            raise DataLayoutError(f"data_root '{self.data_root}': expected frames, but "
                                  f'{type(self.reader).__name__} found none; check its settings.')
        broken = [frame for frame in frames if 'broken' in frame]
        if len(broken) == len(frames):
            raise DataLayoutError(f'all {len(frames)} frames are broken; the first one: '
                                  f"{broken[0]['broken']}")
        if broken:
            names = shorten([frame['frame_id'] for frame in broken])
            print_log(f'Of {len(frames)} frames these are broken and will be skipped: {names}; '
                      f"the first one: {broken[0]['broken']}", logger='current',
                      level=logging.WARNING)
        frames_with_scans = [frame for frame in frames if 'lidar_path' in frame]
        self._check_scans(frames_with_scans)
        scales = {frame.get('intensity_scale', 1.) for frame in frames_with_scans}
        # The Runner keeps it in checkpoints, for use of the network on other scans.
        self._metainfo['intensity_scale'] = scales.pop() if len(scales) == 1 else None
        _check_cameras([frame for frame in frames if 'broken' not in frame])
        return frames

    def _check_scans(self, frames: list[dict]) -> None:
        """Read a few scans; raise if all are invalid, and log which rows are dropped."""
        read, faults = [], []
        for frame in evenly_spaced(frames):
            try:
                read.append(load_points(frame, min(frame['lidar_dim'], 4))[1])
            except ScanColumnsError as error:
                faults.append(str(error))
            except (ScanError, ImportError):
                continue  # reported when the frame is loaded
        if faults and not read:
            raise DataLayoutError(f'{faults[0]} (The same in all {len(faults)} scans that '
                                  'were checked.)')
        dropped = DroppedRows(*map(sum, zip(*read))) if read else DroppedRows(0)
        if dropped.count:
            print_log(f"data_root '{self.data_root}': in {len(read)} of {len(frames)} scans "
                      f'{dropped}. Such rows are dropped from all scans.',
                      logger='current')

    def full_init(self) -> None:
        """List the frames; check that the mismatched-image control has enough of them."""
        super().full_init()
        if self.mismatched_image_control:
            self._other_frame(0)

    def _copy_without_annotation(self, memo: dict | None = None) -> 'CalibrationDataset':
        # mmengine's default memo outlives the call: an object at the address of an earlier one
        # would be replaced by the copy of that one.
        return super()._copy_without_annotation({} if memo is None else memo)

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return super().__len__()

    def __len__(self) -> int:
        """Return the number of samples of one pass.

        Number of frames times ``repeats``, doubled by the mismatched-image control.
        """
        return self.num_frames * self.repeats * (2 if self.mismatched_image_control else 1)

    def __iter__(self) -> Iterator[dict]:
        """Iterate over one pass; larger indices belong to later passes."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict:
        """Load and transform one frame.

        Args:
            index: ``epoch * len(self) + i``, not negative.

        Returns:
            Output of the pipeline.

        Raises:
            IndexError: If the index is negative.
            BrokenFrameError: If the frame is broken and ``skip_broken`` is off, or if more than
                ``max_skipped`` frames in a row are broken.
        """
        if index < 0:
            raise IndexError(f'expected an index >= 0 (epoch * {len(self)} + i), found {index}.')
        epoch, first = divmod(index, len(self))
        mismatched_image, first = divmod(first, self.num_frames * self.repeats)
        skipped: list[tuple[str, str]] = []
        while True:
            frame = (first + len(skipped)) % self.num_frames
            results = (self._with_mismatched_images if mismatched_image else
                       self.get_data_info)(frame)
            # Seeded by the requested index: a replacement differs from that frame's own sample.
            results['rng'] = np.random.default_rng((self.seed, epoch, first))
            results['epoch'], results['dataset'] = epoch, self
            results['skipped_frames'] = list(skipped)
            try:
                if 'broken' in results:
                    raise BrokenFrameError(results['frame_id'], results['broken'])
                return self.pipeline(results)
            except BrokenFrameError as error:
                if not self.skip_broken:
                    raise
                skipped.append((error.frame_id, error.reason))
                if len(skipped) > min(self.max_skipped, self.num_frames - 1):
                    reasons = '; '.join(f'{frame_id}: {reason}' for frame_id, reason in skipped)
                    raise BrokenFrameError(
                        error.frame_id, f'{len(skipped)} frames in a row are broken, of '
                        f'{self.num_frames} (max_skipped is {self.max_skipped}): {reasons}'
                    ) from error

    def _with_mismatched_images(self, frame: int) -> dict:
        """Return the entry of a frame for the mismatched-image control."""
        results = self.get_data_info(frame)
        other = self.get_data_info(self._other_frame(frame))
        if 'broken' in results or 'broken' in other:
            return dict(frame_id=results['frame_id'],
                        broken=results.get('broken') or f"the frame that gives it images, "
                        f"{other['frame_id']}, is broken: {other['broken']}")
        images = other['images']
        if len(images) != len(results['images']):
            raise DataLayoutError(
                'mismatched_image_control: expected as many images in every frame, found '
                f"{len(results['images'])} in {results['frame_id']} and {len(images)} in the "
                'frame that gives it images; leave out frames that miss an image.')
        for image, other in zip(results['images'], images):
            image['replaced_by'] = other
        results['mismatched_image'] = True
        return results

    def _other_frame(self, frame: int) -> int:
        """Return the frame half the list away.

        Neighbours in a log show the same place, and a random permutation would pair some of them.
        No other choice is farther for all frames at once.
        """
        if self.num_frames < 2:
            raise DataLayoutError(
                f"data_root '{self.data_root}': mismatched_image_control shows the images of "
                f'another frame; expected at least 2 frames, found {self.num_frames}.')
        return (frame + self.num_frames // 2) % self.num_frames


def _check_cameras(frames: list[dict]) -> None:
    """Compare images and calibration of a few frames; warn before training starts."""
    for place in sorted({0, len(frames) // 2, len(frames) - 1}):
        frame = dict(frames[place])
        try:
            frame = LoadImages()(LoadPoints(use_dim=3)(frame))
        except (BrokenFrameError, ImportError, KeyError):
            continue  # reported when the frame is loaded; custom readers have other entries
        for image, pixels in zip(frame['images'], frame['imgs']):
            check_pose(frame['points'], image['lidar2cam'], image['cam2img'],
                       pixels.shape[1::-1], f"camera '{image['name']}'")
