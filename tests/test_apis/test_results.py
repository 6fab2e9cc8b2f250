"""Covariance of a pose, and several pairs of one rig in one pose."""
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from nclr_plugin.apis import Calibration, CalibrationInputError, consensus_pose, fuse
from nclr_plugin.apis.results import pose_covariance, pose_difference


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


@pytest.fixture
def make(scene):
    """Function: turn (degrees), shift, whether reliable -> a calibration off the truth by them."""

    def make_one(turn, shift, reliable=True):
        pose = scene.lidar2cam.copy()
        pose[:3, :3] = Rotation.from_rotvec(turn, degrees=True).as_matrix() @ pose[:3, :3]
        pose[:3, 3] += shift
        return Calibration(pose, True, reliable, 0.9, 0.5, 5., 1., np.eye(6), None, scene.cam2img,
                           None, None)

    return make_one


def test_mean_and_spread_of_those_that_agree(scene, make):
    rng = np.random.default_rng(0)
    turns, shifts = rng.normal(0, [0.3, 0.6, 0.1], (20, 3)), rng.normal(0, 0.2, (20, 3))
    pairs = [make(*pair) for pair in zip(turns, shifts)]
    astray = [make([0, 90, 0], [5, 0, 0]), make([0, 0, 0], [3, 0, 0])]
    unreliable = [make([0, 170, 0], [0, 0, 9], False)] * 30
    found = fuse([*astray, *pairs, *unreliable])
    assert found.reliable and found.used == list(range(2, 22))
    assert (found.num_reliable, found.num_pairs) == (22, 52)
    rotations = Rotation.from_matrix([pair.lidar2cam[:3, :3] for pair in pairs])
    expected = rotations.mean()
    assert (Rotation.from_matrix(found.lidar2cam[:3, :3]) * expected.inv()).magnitude() < 1e-6
    np.testing.assert_allclose(found.lidar2cam[:3, 3],
                               np.mean([pair.lidar2cam[:3, 3] for pair in pairs], 0))
    off = np.degrees((rotations * expected.inv()).as_rotvec())
    np.testing.assert_allclose(found.rotation_spread_deg, off.std(0, ddof=1), rtol=1e-3)
    np.testing.assert_allclose(found.translation_spread_m, shifts.std(0, ddof=1))


def test_pairs_that_contradict_each_other_are_not_reliable(make):
    rng = np.random.default_rng(0)
    found = fuse([make(rng.uniform(-90, 90, 3), rng.uniform(-5, 5, 3)) for _ in range(2)])
    assert not found.reliable
    scattered = [make([0, angle, 0], [0, 0, 0]) for angle in (0., 0.1, 40., 80., 120., 160.)]
    assert not fuse(scattered[:2]).reliable  # two say nothing


def test_identical_pairs(make, scene):
    found = fuse([make([0, 0, 0], [0, 0, 0])] * 3)
    assert found.reliable and not found.rotation_spread_deg.any()
    np.testing.assert_allclose(found.lidar2cam, scene.lidar2cam, atol=1e-12)


def test_nothing_to_fuse(make):
    with pytest.raises(CalibrationInputError, match='found none'):
        fuse([])
    found = fuse([make([0, 0, 0], [0, 0, 0], False)])
    assert not found.reliable and not found.used and np.isnan(found.translation_spread_m).all()
    one = fuse([make([0, 0, 0], [0, 0, 0])])
    assert not one.reliable and one.used == [0] and np.isnan(one.rotation_spread_deg).all()


def test_consensus_of_poses_that_need_not_be_reliable(make, scene):
    rng = np.random.default_rng(0)
    near = [make(rng.normal(0, 1, 3), rng.normal(0, 0.3, 3), False) for _ in range(30)]
    astray = [make([0, 100, 0], [4, 0, 0], False)] * 4
    found = consensus_pose([*astray, *near])
    rotation, translation = pose_difference(found, scene.lidar2cam)
    assert rotation < 0.6 and translation < 0.2
    np.testing.assert_array_equal(found, fuse([one._replace(reliable=True)
                                               for one in (*astray, *near)]).lidar2cam)


def test_no_consensus_without_poses_that_fit_the_guess(make, scene):
    turned = scene.lidar2cam.copy()
    turned[:3, :3] = Rotation.from_rotvec([0, 40, 0], degrees=True).as_matrix() @ turned[:3, :3]
    off = make([0, 0, 0], [0, 0, 0])._replace(initial=turned)
    assert consensus_pose([off, off._replace(initial=None, valid=False)]) is None
    fits = make([0, 38, 0], [0, 0, 0])._replace(initial=turned)
    np.testing.assert_allclose(consensus_pose([off, off, fits]), fits.lidar2cam, atol=1e-9)
