"""Covariance of a pose."""
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from nclr_plugin.apis.calibration import pose_covariance, pose_difference


@pytest.fixture
def problem(scene):
    """Points in view, their pixels with 0.5 px noise, and the residuals of a pose's parameters."""
    rng = np.random.default_rng(1)
    points = scene.points[:, :3].astype(np.float64)
    in_camera = points @ scene.lidar2cam[:3, :3].T + scene.lidar2cam[:3, 3]
    points = points[in_camera[:, 2] > 8][:200]

    def project(parameters):
        R = Rotation.from_rotvec(parameters[:3]).as_matrix() @ scene.lidar2cam[:3, :3]
        homogeneous = (points @ R.T + scene.lidar2cam[:3, 3] + parameters[3:]) @ scene.cam2img.T
        return homogeneous[:, :2] / homogeneous[:, 2:]

    exact = project(np.zeros(6))
    return points, exact, lambda seed=None: (
        exact + np.random.default_rng(seed).normal(0, 0.5, exact.shape)), project, rng


def test_covariance_by_scipys_jacobian(scene, problem):
    points, _, noisy, project, _ = problem
    pixels = noisy(0)
    fit = least_squares(lambda x: (project(x) - pixels).ravel(), np.zeros(6), '3-point',
                        x_scale='jac', xtol=1e-15, ftol=1e-15, gtol=1e-15)
    pose = scene.lidar2cam.copy()
    pose[:3, :3] = Rotation.from_rotvec(fit.x[:3]).as_matrix() @ pose[:3, :3]
    pose[:3, 3] += fit.x[3:]
    expected = 2 * fit.cost / (pixels.size - 6) * np.linalg.inv(fit.jac.T @ fit.jac)
    found = pose_covariance(points, pixels, pose, scene.cam2img)
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-3 * np.abs(expected).max())


def test_it_is_the_spread_of_fits(scene, problem):
    points, exact, noisy, project, _ = problem
    fits = np.array([least_squares(
        lambda x, pixels=noisy(seed): (project(x) - pixels).ravel(), np.zeros(6)).x
        for seed in range(60)])
    found = np.sqrt(np.diag(pose_covariance(points, noisy(99), scene.lidar2cam, scene.cam2img)))
    np.testing.assert_allclose(fits.std(0), found, rtol=0.35)


def test_points_that_fix_no_pose(scene):
    points = np.tile([[10., 0., 0.]], (9, 1))
    pixels = np.zeros((9, 2))
    found = pose_covariance(points, pixels, scene.lidar2cam, scene.cam2img)
    assert np.isinf(np.diag(found)).all()


def test_pose_difference(scene):
    other = scene.lidar2cam.copy()
    other[:3, :3] = Rotation.from_euler('z', 3, degrees=True).as_matrix() @ other[:3, :3]
    other[:3, 3] += [3, 0, 4]
    assert pose_difference(scene.lidar2cam, other) == pytest.approx((3, 5))
