"""The sensors of KITTI's car, and KITTI's calibration files."""
from __future__ import annotations

from typing import Dict, Mapping

import numpy as np

from ..frame import CameraMount, town_rng
from ..primitives import yaw_matrix
from .base import Job, Layout

LIDAR_TO_CAMERA_AXES = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
BASELINES = {  # metres from the reference camera to each camera, in its own axes
    'P0': (0.0, 0.0, 0.0),
    'P1': (-0.537, 0.0, 0.0),
    'P2': (0.06, -0.0004, 0.0027),
    'P3': (-0.473, 0.0024, 0.0027),
}


def small_rotation(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """Return a (3, 3) rotation by about ``degrees`` around a random axis."""
    x, y, z = np.deg2rad(rng.normal(0, degrees, 3))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    return yaw_matrix(z) @ about_y @ about_x


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    """Extend a (3, 3) or (3, 4) matrix to (4, 4)."""
    extended = np.eye(4)
    extended[:3, :matrix.shape[1]] = matrix
    return extended


class KittiLayout(Layout):
    """A car with KITTI's LiDAR and colour camera; each town has its own calibration.

    ``lidar2cam = [I | K^-1 P2[:, 3]] @ R0_rect @ Tr`` with R0_rect = I in the odometry layout.
    """
    image_size = (1242, 375)
    focal = 721.5
    rectified = False  # whether a rotation R0_rect is kept apart

    def calibration(self, job: Job) -> Dict[str, np.ndarray]:
        """Return P0-P3 (3, 4), R0_rect (3, 3) and Tr (3, 4) of a frame's town."""
        rng = town_rng(self.options.seed, job.split, job.town)
        rng = np.random.default_rng(rng.integers(2**63))
        width, height = self.options.image_size or self.image_size
        focal = self.options.focal or self.focal * width / 1242
        focal *= rng.uniform(0.99, 1.01)
        cam2img = np.array([[focal, 0, (0.49 + rng.normal(0, 0.003)) * width],
                            [0, focal, (0.46 + rng.normal(0, 0.01)) * height], [0, 0, 1]])
        values = {
            name: np.column_stack([cam2img, cam2img @ offset])
            for name, offset in BASELINES.items()
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
