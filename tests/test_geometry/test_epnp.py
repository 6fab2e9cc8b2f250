"""EPnP's closed form: exact pixels give the exact pose, before any refinement."""
import pytest
import torch

from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.geometry.epnp import apply_inverse, closed_form_pose
from nclr_plugin.geometry.reprojection import make_problem


def on_principal_axes(problems):
    """Return the problems in normalised units, with their principal axes by ``eigh``."""
    centre = problems.points.mean(1)
    points = (problems.points - centre[:, None]).transpose(1, 2)
    extent = points.square().sum(1).mean(1).sqrt()
    points = points / extent[:, None, None]
    pixels = (problems.pixels - problems.cam2img[:, None, :2, 2]).transpose(1, 2)
    weights = torch.full(points[:, 0].shape, 1 / points.shape[2], dtype=torch.float64)
    variances, axes = torch.linalg.eigh(points @ points.transpose(1, 2) / points.shape[2])
    axes = axes.flip(2)
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]
    return (make_problem(points, pixels, problems.cam2img, weights), axes,
            variances.flip(1).clamp(min=0).sqrt(), centre, extent)


@pytest.mark.parametrize('planar', [False, True])
@pytest.mark.parametrize('num_points', [6, 64])
def test_exact_pixels_give_the_exact_pose(num_points, planar):
    problems = make_problems(16, num_points, noise=0., planar=planar)
    problem, axes, deviations, centre, extent = on_principal_axes(problems)
    pose = closed_form_pose(problem, axes, deviations)
    t, R = pose[..., 0], pose[..., 1:]
    t = extent[:, None] * t - (R @ centre[..., None])[..., 0]
    atol = 1e-6
    torch.testing.assert_close(R, problems.lidar2cam[:, :3, :3], atol=atol, rtol=0)
    torch.testing.assert_close(t, problems.lidar2cam[:, :3, 3], atol=10 * atol, rtol=0)


def test_apply_inverse_solves_the_linear_system():
    focal = torch.tensor([[[300., 7., 0.], [0., 310., 0.], [0., 0., 1.]]]).double()
    h = torch.randn(1, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(apply_inverse(focal, h), torch.linalg.solve(focal, h))
