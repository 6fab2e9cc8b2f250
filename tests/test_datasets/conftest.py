"""Small made-up data sets on disk, with a calibration known in closed form."""
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 120, 48
FOCAL = 60.0
# LiDAR axes (forward, left, up) to camera axes (right, down, forward).
AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])


def write_scan(path: Path, seed: int = 0, count: int = 200, dim: int = 4) -> np.ndarray:
    """A scan of points in front of the camera, as raw float32; returned as written."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([4, -3, -1] + [0] * (dim - 3), [30, 3, 1] + [1] * (dim - 3), (count, dim))
    points = points.astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    points.tofile(path)
    return points


def write_image(path: Path, seed: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A noise image; returned as written, RGB."""
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]))
    return rgb


def row(matrix) -> str:
    """Numbers as in a KITTI calibration."""
    return ' '.join(f'{value:.12e}' for value in np.ravel(matrix))


def write_calibration(path: Path, **matrices) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{name}: {row(matrix)}\n' for name, matrix in matrices.items()))


@pytest.fixture
def disk() -> SimpleNamespace:
    """The writers above, for tests that make their own files."""
    return SimpleNamespace(
        write_scan=write_scan, write_image=write_image, write_calibration=write_calibration,
        axes=AXES, width=WIDTH, height=HEIGHT, focal=FOCAL)


@pytest.fixture
def kitti_odometry(tmp_path) -> SimpleNamespace:
    """Sequences 00 (four frames) and 01 (two), with a shift in P2 and one in Tr."""
    cam2img = np.array([[FOCAL, 0, 58.], [0, FOCAL, 22.], [0, 0, 1]])
    shift, lever = np.array([0.06, 0.01, 0.003]), np.array([-0.02, -0.08, -0.27])
    projection = cam2img @ np.column_stack([np.eye(3), shift])
    for sequence, count in (('00', 4), ('01', 2)):
        folder = tmp_path / 'sequences' / sequence
        write_calibration(folder / 'calib.txt', P0=np.eye(3, 4), P2=projection,
                          Tr=np.column_stack([AXES, lever]))
        for index in range(count):
            write_scan(folder / 'velodyne' / f'{index:06d}.bin', seed=index)
            write_image(folder / 'image_2' / f'{index:06d}.png', seed=index)
    return SimpleNamespace(root=tmp_path, cam2img=cam2img, shift=shift, lever=lever, axes=AXES)
