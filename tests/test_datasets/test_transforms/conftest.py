"""Results as they are in the middle of a pipeline."""
import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation


def project(results, points):
    """Pixels (V, N, 2) of LiDAR points, by OpenCV."""
    return np.stack([
        cv2.projectPoints(points.astype(np.float64), cv2.Rodrigues(lidar2cam[:3, :3])[0],
                          lidar2cam[:3, 3], cam2img, None)[0][:, 0]
        for lidar2cam, cam2img in zip(results['lidar2cam'], results['cam2img'])
    ])


@pytest.fixture
def results():
    """Two views of different sizes; a smooth blob is painted where point 0 projects."""
    rng = np.random.default_rng(0)
    points = rng.uniform([8, -2, -1, 0], [20, 2, 1, 1], (300, 4)).astype(np.float32)
    axes = np.array([[0., -1, 0], [0, 0, -1], [1, 0, 0]])
    lidar2cam, cam2img, imgs = [], [], []
    for view, (width, height) in enumerate(((160, 96), (120, 80))):
        transform = np.eye(4)
        tilt = Rotation.from_euler('xyz', [3 + view, -2, 4 * view], degrees=True).as_matrix()
        transform[:3, :3] = tilt @ axes
        transform[:3, 3] = [0.1 - view, -0.2, 0.3]
        lidar2cam.append(transform)
        cam2img.append(np.array([[100., 0.7, width / 2 + 3], [0, 90, height / 2 - 4], [0, 0, 1]]))
        imgs.append(np.zeros((height, width, 3), np.uint8))
    results = dict(
        frame_id='00/000001', lidar_path='scan.bin', points=points, imgs=imgs,
        images=[dict(name=name, img_path=f'{name}.png') for name in ('left', 'right')],
        cam2img=np.stack(cam2img), lidar2cam=np.stack(lidar2cam), rng=np.random.default_rng(1))
    for img, (u, v) in zip(imgs, project(results, points[:1, :3])[:, 0]):
        y, x = np.mgrid[:img.shape[0], :img.shape[1]]
        blob = 255 * np.exp(-((x - u)**2 + (y - v)**2) / (2 * 4**2))
        img[:] = blob.round()[..., None]
    return results


@pytest.fixture
def check_blobs():
    """Checks that point 0 still projects onto the middle of its blob, in every view."""

    def check(results, tolerance=0.05):
        expected = project(results, results['points'][:1, :3])[:, 0]
        for img, pixel in zip(results['imgs'], expected):
            weights = img[..., 0].astype(float)
            assert weights.max() > 200
            y, x = np.mgrid[:img.shape[0], :img.shape[1]]
            centre = np.array([(x * weights).sum(), (y * weights).sum()]) / weights.sum()
            np.testing.assert_allclose(centre, pixel, atol=tolerance)

    return check


@pytest.fixture
def opencv_project():
    return project
