"""SemanticKITTI: ``sequences/XX/{image_2,velodyne,labels,calib.txt,poses.txt,times.txt}``."""
from __future__ import annotations

import os
import pickle
from typing import Any, List, Tuple

import numpy as np

from .. import labels
from ..frame import Frame, Split
from ..options import DemoOptions
from .base import Job, write_image
from .kitti_rig import KittiLayout, homogeneous, write_calibration

TRAIN_SEQUENCES = ('00', '01', '02', '03', '04', '05', '06', '07', '09', '10')
VAL_SEQUENCE = '08'
SCENE_DISTANCE = 1000.0  # metres between the scenes of a town in poses.txt


class SemanticKittiLayout(KittiLayout):
    """One sequence for each training town; the validation town is sequence 08.

    The frames of a sequence are scenes of one town far apart from each other, not a drive.

    Raises:
        ValueError: If there are more training towns than training sequences.
    """

    def __init__(self, root: str, options: DemoOptions) -> None:
        super().__init__(root, options)
        if options.towns > len(TRAIN_SEQUENCES):
            raise ValueError(f'towns: expected at most {len(TRAIN_SEQUENCES)}, one for each '
                             f'training sequence of SemanticKITTI, found {options.towns}.')

    def place(self, job: Job) -> Tuple[str, int]:
        """Return the sequence of a frame and its number there."""
        if job.split == Split.VAL:
            return VAL_SEQUENCE, job.index
        return TRAIN_SEQUENCES[job.town], job.index // self.options.towns

    def write(self, job: Job, frame: Frame) -> Any:
        """Write image, scan and labels; return the LiDAR's pose."""
        sequence, number = self.place(job)
        stem = f'{number:06d}'
        folder = os.path.join('sequences', sequence)
        write_image(self.path(folder, 'image_2', f'{stem}.png'), frame.photographs['image_2'].image)
        frame.scan.points.tofile(self.path(folder, 'velodyne', f'{stem}.bin'))
        raw_labels(frame).tofile(self.path(folder, 'labels', f'{stem}.label'))
        return frame.lidar2world

    def finish(self, records: List[Tuple[Job, Any]]) -> List[str]:
        """Write calibration, poses, times and mmdet3d's infos."""
        sequences = {}
        for job, lidar2world in records:
            sequence, number = self.place(job)
            sequences.setdefault(sequence, []).append((number, job, lidar2world))
        for sequence, frames in sequences.items():
            self._write_sequence(os.path.join('sequences', sequence), frames)
        for split in (Split.TRAIN, Split.VAL):
            self._write_infos(split, [self.place(job) for job, _ in records if job.split == split])
        return [
            f"sequence {sequence} ({'validation' if sequence == VAL_SEQUENCE else 'training'}): "
            f"{len(frames)} frames in {os.path.join(self.root, 'sequences', sequence)}"
            for sequence, frames in sorted(sequences.items())
        ]

    def _write_sequence(self, folder: str, frames: List[Tuple[int, Job, np.ndarray]]) -> None:
        values = self.calibration(frames[0][1])
        del values['R0_rect']
        write_calibration(self.path(folder, 'calib.txt'), values)
        lidar2cam = homogeneous(values['Tr'])
        poses = []
        for number, _, lidar2world in frames:
            pose = lidar2world.copy()
            pose[0, 3] += SCENE_DISTANCE * number
            poses.append(pose)
        start = lidar2cam @ np.linalg.inv(poses[0])
        rows = [(start @ pose @ np.linalg.inv(lidar2cam))[:3].ravel() for pose in poses]
        np.savetxt(self.path(folder, 'poses.txt'), rows, fmt='%.9e')
        np.savetxt(self.path(folder, 'times.txt'), [60.0 * number for number, *_ in frames],
                   fmt='%.6e')

    def _write_infos(self, split: Split, places: List[Tuple[str, int]]) -> None:
        """Write the infos that mmdet3d's SemanticKittiDataset reads."""
        entries = []
        for sequence, number in sorted(places):
            stem = os.path.join('sequences', sequence, '{}', f'{number:06d}')
            entries.append(
                dict(lidar_points=dict(lidar_path=stem.format('velodyne') + '.bin',
                                       num_pts_feats=4),
                     pts_semantic_mask_path=stem.format('labels') + '.label',
                     sample_idx=f'{sequence}{number:06d}'))
        infos = dict(metainfo=dict(DATASET='SemanticKITTI'), data_list=entries)
        name = f'semantickitti_infos_{split.name.lower()}.pkl'
        with open(self.path(name), 'wb') as file:
            pickle.dump(infos, file)


def raw_labels(frame: Frame) -> np.ndarray:
    """Return the SemanticKITTI label (N,) uint32 of each return: instance << 16 | raw label."""
    semantic = frame.scan.semantic.astype(np.uint32)
    for thing in frame.objects:
        if thing.moving:
            semantic[frame.scan.instance == thing.instance] = labels.MOVING[thing.label]
    return frame.scan.instance.astype(np.uint32) << 16 | semantic
