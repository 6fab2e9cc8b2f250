
import cv2
import pytest
import torch

from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.geometry import ransac
from nclr_plugin.geometry.pnp import solve_pnp
from nclr_plugin.geometry.ransac import FALLBACK, LO_RANSAC, METHODS, solve_robust
from nclr_plugin.geometry.se3 import rotation_error_geodesic_deg


def require(method):
    if method == LO_RANSAC:
        pytest.importorskip('poselib', reason='PoseLib is not installed')


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('outliers', [0.1, 0.3])
def test_pose_is_nearly_that_of_the_inliers_alone(method, outliers):
    require(method)
    problems = make_problems(24, 128, outliers=outliers)
    expected = solve_pnp(*problems[:3], weights=problems.inlier.double())
    poses = [solve_robust(*problem, method=method) for problem in zip(*problems[:3])]
    assert all(pose.success for pose in poses)
    truth = problems.lidar2cam
    R, t = torch.stack([pose.R for pose in poses]), torch.stack([pose.t for pose in poses])
    ours = rotation_error_geodesic_deg(R, truth[:, :3, :3]).median()
    assert ours <= 1.2 * rotation_error_geodesic_deg(expected.R, truth[:, :3, :3]).median()
    error = (t - truth[:, :3, 3]).norm(dim=1).median()
    assert error <= 1.2 * (expected.t - truth[:, :3, 3]).norm(dim=1).median()
    found = torch.stack([pose.inliers for pose in poses])
    assert (found == problems.inlier).double().mean() > 0.98
    assert all(0.5 < pose.reprojection_error < 2 for pose in poses)


@pytest.mark.parametrize('method', [LO_RANSAC, 'ransac_p3p'])
def test_few_inliers_are_enough(method):
    require(method)
    problems = make_problems(4, 500, outliers=0.8)
    for points, pixels, cam2img, truth, _ in zip(*problems):
        pose = solve_robust(points, pixels, cam2img, method=method)
        assert rotation_error_geodesic_deg(pose.R, truth[:3, :3]) < 1
        assert (pose.t - truth[:3, 3]).norm() < 0.5


@pytest.mark.parametrize('method', METHODS)
def test_a_pose_is_a_function_of_the_arguments(method):
    require(method)
    problems = make_problems(1, 60, noise=3., outliers=0.5)
    args = [value[0] for value in problems[:3]]
    first, again = (solve_robust(*args, method=method, iterations=30, seed=4) for _ in range(2))
    cv2.setRNGSeed(99)
    after = solve_robust(*args, method=method, iterations=30, seed=4)
    for pose in (again, after):
        assert torch.equal(pose.R, first.R) and torch.equal(pose.inliers, first.inliers)


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('kind', ['collinear', 'coincident', 'one pixel', 'few', 'none', 'nan'])
def test_failure_is_finite_and_says_so(kind, method):
    require(method)
    problems = make_problems(1, 12)
    points, pixels, cam2img = (value[0].clone() for value in problems[:3])
    if kind == 'collinear':
        points = torch.linspace(-3, 3, 12).double()[:, None] * torch.tensor([1., 2., 0.5]).double()
    elif kind == 'coincident':
        points = points[:1].expand(12, 3)
    elif kind == 'one pixel':
        pixels = pixels[:1].expand(12, 2)
    elif kind == 'few':
        points, pixels = points[:3], pixels[:3]
    elif kind == 'none':
        points, pixels = points[:0], pixels[:0]
    else:
        pixels = pixels * float('nan')
    pose = solve_robust(points, pixels, cam2img, method=method, iterations=100)
    assert not pose.success and not pose.inliers.any()
    assert torch.equal(pose.R, torch.eye(3).double()) and (pose.t == 0).all()
    assert pose.inliers.shape == (len(points),)


def test_ignores_matches_that_are_not_finite():
    problems = make_problems(1, 40)
    points, pixels, cam2img = (value[0].clone() for value in problems[:3])
    pixels[3], points[7] = float('nan'), float('inf')
    pose = solve_robust(points, pixels, cam2img)
    assert pose.success and pose.R.isfinite().all() and pose.inliers.sum() >= 36
    assert not pose.inliers[3] and not pose.inliers[7]


def test_bad_arguments_are_named():
    points, pixels, cam2img = torch.zeros(9, 3), torch.zeros(9, 2), torch.eye(3)
    with pytest.raises(ValueError, match='ransac_p3p'):
        solve_robust(points, pixels, cam2img, method='magic')
    with pytest.raises(ValueError, match='pixels'):
        solve_robust(points, pixels[:5], cam2img)


def test_skewed_cameras_are_solved():
    pytest.importorskip('poselib', reason='PoseLib is not installed')
    problems = make_problems(4, 200, noise=0., outliers=0.3)
    for points, pixels, cam2img, truth, inlier in zip(*problems):
        cam2img, pixels = cam2img.clone(), pixels.clone()
        cam2img[0, 1] = 30.
        pixels[:, 0] += 30. * (pixels[:, 1] - cam2img[1, 2]) / cam2img[1, 1]
        pose = solve_robust(points, pixels, cam2img, threshold=1.)
        torch.testing.assert_close(pose.R, truth[:3, :3], rtol=0, atol=1e-6)
        assert pose.inliers[inlier].all()


def test_opencv_takes_the_place_of_a_missing_poselib_and_the_log_says_so(monkeypatch, log_of):
    problem = [value[0] for value in make_problems(1, 100, outliers=0.3)[:3]]
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    messages = log_of(ransac)
    ransac._has_poselib.cache_clear()
    try:
        poses = [solve_robust(*problem) for _ in range(2)]
    finally:
        ransac._has_poselib.cache_clear()
    expected = solve_robust(*problem, method=FALLBACK)
    assert all(torch.equal(pose.R, expected.R) for pose in poses)
    assert len(messages) == 1 and FALLBACK in messages[0] and 'pip install poselib' in messages[0]
