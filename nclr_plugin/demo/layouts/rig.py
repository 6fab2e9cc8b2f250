"""Custom rig for ``RigReader``: folders and a ``rig.yaml``."""
from __future__ import annotations

import os

import numpy as np
import yaml

from ..frame import CameraMount, LidarMount, Split
from ..primitives import yaw_matrix
from .base import Layout, write_image
from .kitti import LIDAR_TO_CAMERA_AXES, homogeneous, small_rotation

LIDAR = 'lidar'
CAMERAS = {  # position in the ego frame, metres; heading, degrees
    'front': ((1.6, 0.1, 1.5), 0.),
    'right': ((1.4, -0.5, 1.5), -40.),  # its left half overlaps the right half of front
    'back': ((0., 0., 1.55), 180.),
}
FOCAL = 0.7  # image widths
ELEVATION_DEG = 22.5  # of the highest beam; the lowest is at minus this angle
UPSIDE_DOWN = np.diag([1., -1., -1., 1.])


class RigLayout(Layout):
    """Rig of three cameras, one of them backward, and a LiDAR mounted upside down.

    All towns are recorded by the same rig. ``train.txt`` and ``val.txt`` list the frames.
    """
    image_size = (640, 360)
    azimuths = 1024

    def mounts(self, job):
        """Return the three cameras and the LiDAR."""
        rng = np.random.default_rng((self.options.seed, 2))
        upright = self.lidar(np.eye(4))
        lidar = LidarMount(
            np.radians(np.linspace(ELEVATION_DEG, -ELEVATION_DEG, len(upright.elevations))),
            upright.azimuths, upright.lidar2ego @ UPSIDE_DOWN)
        width, height = self.options.image_size or self.image_size
        focal = self.options.focal or FOCAL * width
        cam2img = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        cameras = {}
        for name, (position, heading) in CAMERAS.items():
            axes = yaw_matrix(np.radians(heading)) @ LIDAR_TO_CAMERA_AXES.T
            cam2ego = homogeneous(np.column_stack([axes @ small_rotation(rng, 0.5), position]))
            cameras[name] = CameraMount(cam2img, width, height,
                                        np.linalg.inv(cam2ego) @ lidar.lidar2ego)
        return cameras, lidar

    def write(self, job, frame):
        """Write images and scan; return the stem of the files."""
        stem = f'{job.index + self.options.scenes * (job.split == Split.VAL):06d}'
        for name, photograph in frame.photographs.items():
            write_image(self.path(name, f'{stem}.png'), photograph.image)
        frame.scan.points.tofile(self.path(LIDAR, f'{stem}.bin'))
        return stem

    def finish(self, records):
        """Write ``rig.yaml`` and the lists of frames."""
        cameras, _ = self.mounts(records[0][0])
        rig = dict(lidar=dict(folder=LIDAR, dim=4, suffix='.bin', intensity_scale=1.), cameras=[
            dict(name=name, folder=name, image_size=[mount.width, mount.height],
                 cam2img=mount.cam2img.tolist(), lidar2cam=mount.lidar2cam.tolist())
            for name, mount in cameras.items()])
        with open(self.path('rig.yaml'), 'w', encoding='utf-8') as file:
            yaml.safe_dump(rig, file, sort_keys=False, default_flow_style=None)
        for split in (Split.TRAIN, Split.VAL):
            stems = [stem for job, stem in records if job.split == split]
            with open(self.path(f'{split.name.lower()}.txt'), 'w', encoding='utf-8') as file:
                file.writelines(f'{stem}\n' for stem in stems)
        return [f'{len(records)} frames of {len(cameras)} cameras in '
                f"{os.path.join(self.root, 'rig.yaml')}"]
