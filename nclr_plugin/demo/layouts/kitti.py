"""Layouts of KITTI: odometry with the labels of SemanticKITTI, and 3D object detection."""
from __future__ import annotations

import os
import pickle
from typing import Any, Mapping

import numpy as np

from ...datasets.readers.calibration import homogeneous
from ..frame import CameraMount, Frame, Split, town_rng, visibility
from ..primitives import MOVING, Label, yaw_matrix
from ..scene import Object
from .base import DemoOptions, Job, Layout, write_image

LIDAR_TO_CAMERA_AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
BASELINES = {  # from the reference camera to each camera in its own axes, metres
    'P0': (0.0, 0.0, 0.0),
    'P1': (-0.537, 0.0, 0.0),
    'P2': (0.06, -0.0004, 0.0027),
    'P3': (-0.473, 0.0024, 0.0027),
}
TRAIN_SEQUENCES = ('00', '01', '02', '03', '04', '05', '06', '07', '09', '10')
VAL_SEQUENCE = '08'
SCENE_DISTANCE = 1000.0  # distance between the scenes of a town in poses.txt, metres
VAN_HEIGHT = 1.75  # minimum height of a van, metres
MIN_VISIBLE = 0.1  # objects with a smaller visible share are DontCare
IMU_TO_LIDAR = np.column_stack([np.eye(3), [-0.81, 0.32, -0.80]])


def small_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Return a (3, 3) rotation by about ``degrees`` around a random axis."""
    x, y, z = np.deg2rad(rng.normal(0, degrees, 3))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return yaw_matrix(z) @ about_y @ about_x


class KittiLayout(Layout):
    """Base class of the KITTI layouts: a LiDAR and a colour camera, calibrated per town.

    ``lidar2cam = [I | K^-1 P2[:, 3]] @ R0_rect @ Tr`` with R0_rect = I in the odometry layout.
    """
    image_size = (1242, 375)
    focal = 721.5
    rectified = False  # whether the layout has a separate rotation R0_rect

    def calibration(self, job: Job) -> dict[str, np.ndarray]:
        """Return P0-P3 (3, 4), R0_rect (3, 3) and Tr (3, 4) of a frame's town."""
        rng = town_rng(self.options.seed, job.split, job.town)
        rng = np.random.default_rng(rng.integers(2**63))
        width, height = self.options.image_size or self.image_size
        focal = self.options.focal or self.focal * width / 1242
        focal *= rng.uniform(0.99, 1.01)
        cam2img = np.array([[focal, 0, (0.49 + rng.normal(0, 0.003)) * width],
                            [0, focal, (0.46 + rng.normal(0, 0.01)) * height], [0, 0, 1]])
        values = {
            name: np.column_stack([cam2img, cam2img @ offset]) for name, offset in BASELINES.items()
        }
        values['R0_rect'] = small_rotation(rng, 0.4) if self.rectified else np.eye(3)
        translation = np.array([-0.004, -0.076, -0.271]) + rng.normal(0, 0.01, 3)
        values['Tr'] = np.column_stack(
            [small_rotation(rng, 0.5) @ LIDAR_TO_CAMERA_AXES, translation])
        return values

    def mounts(self, job):
        """Return the colour camera ``image_2`` and the LiDAR."""
        values = self.calibration(job)
        cam2img = values['P2'][:, :3]
        shift = np.eye(4)
        shift[:3, 3] = np.linalg.solve(cam2img, values['P2'][:, 3])
        lidar2cam = shift @ homogeneous(values['R0_rect']) @ homogeneous(values['Tr'])
        width, height = self.options.image_size or self.image_size
        camera = CameraMount(cam2img, width, height, lidar2cam)
        return {'image_2': camera}, self.lidar(np.eye(4))


def write_calibration(path: str, values: Mapping[str, np.ndarray]) -> None:
    """Write a KITTI calibration file: a line ``NAME: numbers`` for each matrix."""
    with open(path, 'w', encoding='utf-8') as file:
        for name, matrix in values.items():
            numbers = ' '.join(f'{number:.12e}' for number in np.ravel(matrix))
            file.write(f'{name}: {numbers}\n')


class SemanticKittiLayout(KittiLayout):
    """SemanticKITTI: one sequence per training town, and sequence 08 for the validation town.

    The frames of a sequence are unrelated scenes of a town, not a drive.

    Raises:
        ValueError: If there are more training towns than training sequences.
    """
    def __init__(self, root: str, options: DemoOptions) -> None:
        super().__init__(root, options)
        if options.towns > len(TRAIN_SEQUENCES):
            raise ValueError(f'towns: expected at most {len(TRAIN_SEQUENCES)}, one for each '
                             f'training sequence of SemanticKITTI, found {options.towns}.')

    def locate(self, job: Job) -> tuple[str, int]:
        """Return the sequence of a frame and its index in the sequence."""
        if job.split == Split.VAL:
            return VAL_SEQUENCE, job.index
        return TRAIN_SEQUENCES[job.town], job.index // self.options.towns

    def write(self, job: Job, frame: Frame) -> Any:
        """Write image, scan and labels; return the LiDAR's pose."""
        sequence, number = self.locate(job)
        stem = f'{number:06d}'
        folder = os.path.join('sequences', sequence)
        write_image(self.path(folder, 'image_2', f'{stem}.png'), frame.photographs['image_2'].image)
        frame.scan.points.tofile(self.path(folder, 'velodyne', f'{stem}.bin'))
        raw_labels(frame).tofile(self.path(folder, 'labels', f'{stem}.label'))
        return frame.lidar2world

    def finish(self, records: list[tuple[Job, Any]]) -> list[str]:
        """Write calibration, poses, times and mmdet3d's infos."""
        sequences = {}
        for job, lidar2world in records:
            sequence, number = self.locate(job)
            sequences.setdefault(sequence, []).append((number, job, lidar2world))
        for sequence, frames in sequences.items():
            self._write_sequence(os.path.join('sequences', sequence), frames)
        for split in (Split.TRAIN, Split.VAL):
            self._write_infos(split, [self.locate(job) for job, _ in records if job.split == split])
        return [
            f"sequence {sequence} ({'validation' if sequence == VAL_SEQUENCE else 'training'}): "
            f"{len(frames)} frames in {os.path.join(self.root, 'sequences', sequence)}"
            for sequence, frames in sorted(sequences.items())
        ]

    def _write_sequence(self, folder: str, frames: list[tuple[int, Job, np.ndarray]]) -> None:
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

    def _write_infos(self, split: Split, frames: list[tuple[str, int]]) -> None:
        """Write the infos that mmdet3d's SemanticKittiDataset reads."""
        entries = []
        for sequence, number in sorted(frames):
            stem = os.path.join('sequences', sequence, '{}', f'{number:06d}')
            entries.append(
                dict(
                    lidar_points=dict(lidar_path=stem.format('velodyne') + '.bin', num_pts_feats=4),
                    pts_semantic_mask_path=stem.format('labels') + '.label',
                    sample_idx=f'{sequence}{number:06d}'))
        infos = dict(metainfo=dict(DATASET='SemanticKITTI'), data_list=entries)
        name = f'semantickitti_infos_{split.name.lower()}.pkl'
        with open(self.path(name), 'wb') as file:
            pickle.dump(infos, file)


def raw_labels(frame: Frame) -> np.ndarray:
    """Return the (N,) uint32 SemanticKITTI labels of a scan: ``instance << 16 | label``."""
    semantic = frame.scan.semantic.astype(np.uint32)
    for thing in frame.objects:
        if thing.moving:
            semantic[frame.scan.instance == thing.instance] = MOVING[thing.label]
    return frame.scan.instance.astype(np.uint32) << 16 | semantic


class KittiObjectLayout(KittiLayout):
    """KITTI 3D object detection: training scenes, followed by validation scenes.

    ``testing`` has one unlabelled scene, because mmdet3d's ``create_data.py`` fails without one.
    """
    rectified = True

    def jobs(self) -> list[Job]:
        """List the frames to generate, the one in ``testing`` last."""
        return super().jobs() + [Job(Split.TEST, 0, 0)]

    def number(self, job: Job) -> int:
        """Return the index of a frame in its folder."""
        return job.index + (self.options.scenes if job.split == Split.VAL else 0)

    def write(self, job: Job, frame: Frame) -> Any:
        """Write image, scan, calibration and, except in ``testing``, labels."""
        stem, values = f'{self.number(job):06d}', self.calibration(job)
        folder = 'testing' if job.split == Split.TEST else 'training'
        write_image(self.path(folder, 'image_2', f'{stem}.png'), frame.photographs['image_2'].image)
        frame.scan.points.tofile(self.path(folder, 'velodyne', f'{stem}.bin'))
        values['Tr_velo_to_cam'] = values.pop('Tr')
        values['Tr_imu_to_velo'] = IMU_TO_LIDAR
        write_calibration(self.path(folder, 'calib', f'{stem}.txt'), values)
        if job.split == Split.TEST:
            return
        lines = label_lines(frame, values['R0_rect'], values['Tr_velo_to_cam'])
        with open(self.path(folder, 'label_2', f'{stem}.txt'), 'w', encoding='utf-8') as file:
            file.writelines(f'{line}\n' for line in lines)

    def finish(self, records: list[tuple[Job, Any]]) -> list[str]:
        """Write the splits in ``ImageSets``."""
        stems = {
            split: [f'{self.number(job):06d}' for job, _ in records if job.split == split]
            for split in Split
        }
        sets = dict(train=stems[Split.TRAIN], val=stems[Split.VAL],
                    trainval=stems[Split.TRAIN] + stems[Split.VAL], test=stems[Split.TEST])
        for name, members in sets.items():
            with open(self.path('ImageSets', f'{name}.txt'), 'w', encoding='utf-8') as file:
                file.writelines(f'{stem}\n' for stem in members)
        return [
            f"{len(sets['trainval'])} frames in {os.path.join(self.root, 'training')}",
            f"{len(sets['train'])} of them in {os.path.join(self.root, 'ImageSets', 'train.txt')}, "
            f"{len(sets['val'])} in val.txt",
            f"{len(sets['test'])} unlabelled frame in {os.path.join(self.root, 'testing')}"
        ]


def label_lines(frame: Frame, rectify: np.ndarray, lidar2ref: np.ndarray) -> list[str]:
    """Format the visible road users as KITTI labels.

    Args:
        frame: The frame.
        rectify: (3, 3) rotation R0_rect.
        lidar2ref: (3, 4) extrinsics Tr_velo_to_cam.

    Returns:
        A line for each road user: type, truncation, occlusion, alpha, 2D box, h, w, l, bottom
        centre x, y, z in the rectified reference camera, rotation_y. DontCare lines come last, as
        in KITTI: mmdet3d and OpenPCDet take the first lines as the objects.
    """
    lidar2rect = homogeneous(rectify) @ homogeneous(lidar2ref)
    visible = visibility(frame, 'image_2')
    lines = []
    for k, thing in enumerate(frame.objects):
        category = kitti_category(thing)
        if category is None or not visible.pixels[k]:
            continue
        box = ' '.join(f'{edge:.2f}' for edge in visible.box[k])
        if visible.share[k] < MIN_VISIBLE:
            lines.append(f'DontCare -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10')
            continue
        occlusion = 0 if visible.share[k] > 0.8 else 1 if visible.share[k] > 0.4 else 2
        length, width, height, yaw = frame.boxes[k, 3:]
        bottom = frame.boxes[k, :3] - [0, 0, height / 2]
        x, y, z = lidar2rect[:3, :3] @ bottom + lidar2rect[:3, 3]
        ahead = lidar2rect[:3, :3] @ [np.cos(yaw), np.sin(yaw), 0]
        rotation = np.arctan2(-ahead[2], ahead[0])
        alpha = (rotation - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi
        lines.append(f'{category} {visible.truncation[k]:.2f} {occlusion} {alpha:.2f} {box} '
                     f'{height:.2f} {width:.2f} {length:.2f} {x:.2f} {y:.2f} {z:.2f} '
                     f'{rotation:.2f}')
    return sorted(lines, key=lambda line: line.startswith('DontCare'))


def kitti_category(thing: Object) -> str | None:
    """Return the KITTI class of a road user, or ``None`` if KITTI has no such class."""
    if thing.label == Label.CAR:
        return 'Van' if thing.size[2] > VAN_HEIGHT else 'Car'
    return {
        Label.TRUCK: 'Truck', Label.BUS: 'Misc', Label.PERSON: 'Pedestrian',
        Label.BICYCLIST: 'Cyclist'
    }.get(thing.label)
