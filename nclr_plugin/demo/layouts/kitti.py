"""KITTI 3D object detection: ``training/{image_2,velodyne,calib,label_2}`` and ``ImageSets``."""
from __future__ import annotations

import os
from typing import Any, List, Optional, Tuple

import numpy as np

from .. import labels
from ..frame import Frame, Split
from ..street import Object
from ..visibility import visibility
from .base import Job, write_image
from .kitti_rig import KittiLayout, homogeneous, write_calibration

VAN_HEIGHT = 1.75  # metres from which a car counts as a van
HIDDEN = 0.1  # objects of which less is seen are DontCare
IMU_TO_LIDAR = np.column_stack([np.eye(3), [-0.81, 0.32, -0.80]])


class KittiObjectLayout(KittiLayout):
    """Training scenes, then validation scenes, numbered through.

    ``testing`` has one unlabelled scene, since mmdet3d's ``create_data.py`` fails without any.
    """
    rectified = True

    def jobs(self) -> List[Job]:
        """List the frames, the one of ``testing`` last."""
        return super().jobs() + [Job(Split.TEST, 0, 0)]

    def number(self, job: Job) -> int:
        """Return the number of a frame."""
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

    def finish(self, records: List[Tuple[Job, Any]]) -> List[str]:
        """Write ``ImageSets``."""
        stems = {
            split: [f'{self.number(job):06d}' for job, _ in records if job.split == split]
            for split in Split
        }
        sets = dict(train=stems[Split.TRAIN],
                    val=stems[Split.VAL],
                    trainval=stems[Split.TRAIN] + stems[Split.VAL],
                    test=stems[Split.TEST])
        for name, members in sets.items():
            with open(self.path('ImageSets', f'{name}.txt'), 'w', encoding='utf-8') as file:
                file.writelines(f'{stem}\n' for stem in members)
        return [
            f"{len(sets['trainval'])} frames in {os.path.join(self.root, 'training')}",
            f"{len(sets['train'])} of them in {os.path.join(self.root, 'ImageSets', 'train.txt')}, "
            f"{len(sets['val'])} in val.txt",
            f"{len(sets['test'])} unlabelled frame in {os.path.join(self.root, 'testing')}"
        ]


def label_lines(frame: Frame, rectify: np.ndarray, lidar2ref: np.ndarray) -> List[str]:
    """Describe the road users that the camera sees, in KITTI's format.

    Args:
        frame: The frame.
        rectify: (3, 3) R0_rect.
        lidar2ref: (3, 4) Tr_velo_to_cam.

    Returns:
        A line for each: type, truncation, occlusion, alpha, 2D box, h, w, l, bottom centre x, y, z
        in the rectified reference camera, rotation_y. Nearly hidden ones are DontCare and come
        last, as in KITTI: the hosts take the first rows for the objects.
    """
    lidar2rect = homogeneous(rectify) @ homogeneous(lidar2ref)
    seen = visibility(frame, 'image_2')
    lines = []
    for k, thing in enumerate(frame.objects):
        category = kitti_category(thing)
        if category is None or not seen.pixels[k]:
            continue
        box = ' '.join(f'{edge:.2f}' for edge in seen.box[k])
        if seen.share[k] < HIDDEN:
            lines.append(f'DontCare -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10')
            continue
        occlusion = 0 if seen.share[k] > 0.8 else 1 if seen.share[k] > 0.4 else 2
        length, width, height, yaw = frame.boxes[k, 3:]
        bottom = frame.boxes[k, :3] - [0, 0, height / 2]
        x, y, z = lidar2rect[:3, :3] @ bottom + lidar2rect[:3, 3]
        ahead = lidar2rect[:3, :3] @ [np.cos(yaw), np.sin(yaw), 0]
        rotation = np.arctan2(-ahead[2], ahead[0])
        alpha = (rotation - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi
        lines.append(f'{category} {seen.truncation[k]:.2f} {occlusion} {alpha:.2f} {box} '
                     f'{height:.2f} {width:.2f} {length:.2f} {x:.2f} {y:.2f} {z:.2f} '
                     f'{rotation:.2f}')
    return sorted(lines, key=lambda line: line.startswith('DontCare'))


def kitti_category(thing: Object) -> Optional[str]:
    """Return KITTI's name for a road user, or None if it has none."""
    if thing.label == labels.CAR:
        return 'Van' if thing.size[2] > VAN_HEIGHT else 'Car'
    return {
        labels.TRUCK: 'Truck',
        labels.BUS: 'Misc',
        labels.PERSON: 'Pedestrian',
        labels.BICYCLIST: 'Cyclist'
    }.get(thing.label)
