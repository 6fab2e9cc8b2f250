"""The reprojection error, its derivatives and its minimum, against autograd and finite steps."""
import pytest
import torch

from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.geometry import reprojection
from nclr_plugin.geometry.se3 import so3_exp


def normalised(count=8, num_points=40, noise=0.):
    """Problems around their centroid, with the true pose, as ``pnp.normalise`` makes them."""
    problems = make_problems(count, num_points, noise)
    R, t = problems.lidar2cam[:, :3, :3], problems.lidar2cam[:, :3, 3]
    centre = problems.points.mean(1)
    points = (problems.points - centre[:, None]).transpose(1, 2)
    pixels = (problems.pixels - problems.cam2img[:, None, :2, 2]).transpose(1, 2)
    weights = torch.full((count, num_points), 1 / num_points, dtype=torch.float64)
    problem = reprojection.make_problem(points, pixels, problems.cam2img, weights)
    return problem, torch.cat([t[..., None] + R @ centre[..., None], R], dim=2)


def turn(pose, angle):
    """Turn cameras by rotation vectors (B, 3)."""
    return torch.cat([pose[..., :1], so3_exp(angle) @ pose[..., 1:]], dim=2)


def test_derivatives_agree_with_autograd():
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(1, 3, 15, generator=generator, dtype=torch.float64)
    noise = 20 * torch.randn(1, 2, 15, generator=generator, dtype=torch.float64)
    weights = torch.rand(1, 15, generator=generator, dtype=torch.float64)
    cam2img = torch.tensor([[[300., 7., 250.], [0., 310., 80.], [0., 0., 1.]]]).double()
    R = so3_exp(torch.tensor([[0.3, -1., 0.7]]).double())
    t = torch.tensor([[0.2, -0.1, 6.]]).double()
    h = cam2img @ (R @ points + t[..., None])
    pixels = h[:, :2] / h[:, 2:] - cam2img[:, :2, 2:] + noise

    def cost(step):
        in_camera = R @ (so3_exp(step[:, :3]) @ points + step[:, 3:, None]) + t[..., None]
        h = cam2img @ in_camera
        projected = h[:, :2] / h[:, 2:] - cam2img[:, :2, 2:]
        return 0.5 * (((projected - pixels)**2).sum(1) * weights).sum()

    zero = torch.zeros(1, 6).double()
    at = reprojection.derivatives(
        reprojection.make_problem(points, pixels, cam2img, weights),
        torch.cat([t[..., None], R], dim=2))
    gradient = torch.autograd.functional.jacobian(cost, zero)[0]
    hessian = torch.autograd.functional.hessian(cost, zero)[0, :, 0]
    torch.testing.assert_close(at.cost[0], cost(zero))
    torch.testing.assert_close(at.gradient[0], gradient)
    assert torch.linalg.eigvalsh(hessian)[0] > 0  # else the Gauss-Newton part takes its place
    torch.testing.assert_close(at.hessian[0], hessian)


def test_second_moments_are_sums_of_outer_products():
    problem, _ = normalised(3, 12)
    scalars = torch.randn(3, 2, 12, dtype=torch.float64)
    x = torch.cat([torch.ones(3, 1, 12).double(), problem.products[:, 1:4]], dim=1)
    torch.testing.assert_close(
        reprojection.second_moments(scalars, problem),
        torch.einsum('bkn,bin,bjn->bkij', scalars, x, x))


def test_minimise_returns_to_the_true_pose_of_exact_pixels():
    problem, pose = normalised()
    start = turn(pose, 0.05 * torch.ones(len(pose), 3).double())
    start[..., 0] += 0.2
    minimum, cost, _, converged = reprojection.minimise(problem, start, 20)
    assert converged.all() and cost.max() < 1e-12
    torch.testing.assert_close(minimum[..., 1:], pose[..., 1:], atol=1e-8, rtol=0)
    torch.testing.assert_close(minimum[..., 0], pose[..., 0], atol=1e-6, rtol=0)


def test_minimise_ends_early_only_when_the_needed_problems_have_converged():
    problem, pose = normalised()
    start = turn(pose, 0.3 * torch.ones(len(pose), 3).double())
    none = torch.zeros(len(pose), dtype=torch.bool)
    assert not reprojection.minimise(problem, start, 20, needed=none)[-1].any()
    assert reprojection.minimise(problem, start, 20, needed=~none)[-1].all()


def test_the_few_problems_with_a_far_start_go_on_alone_and_find_their_minima():
    problem, pose = normalised(noise=1.)
    angle = torch.full((len(pose), 3), 1e-4).double()
    angle[2], angle[5] = 0.05, -0.1
    start = turn(pose, angle)
    together = reprojection.minimise(problem, start, 20)
    assert together[-1].all()
    for i in range(len(pose)):
        alone = reprojection.minimise(problem.take(torch.tensor([i])), start[i:i + 1], 20)
        for whole, part in zip(together, alone):
            torch.testing.assert_close(whole[i:i + 1].double(), part.double(), atol=1e-9, rtol=1e-3)


@pytest.mark.parametrize('length', [1e-1, 1e-2])
def test_a_move_differs_from_the_exponential_map_in_third_order(length):
    _, pose = normalised(4)
    t, R = pose[..., 0], pose[..., 1:]
    step = length * torch.tensor([0.6, -0.5, 0.62, 1., 2., 3.]).double().expand(4, 6)
    moved = reprojection.move(pose, step)
    t_new, R_new = moved[..., 0], moved[..., 1:]
    torch.testing.assert_close(R_new @ R_new.transpose(1, 2), torch.eye(3).double().expand(4, 3, 3))
    torch.testing.assert_close(R_new, R @ so3_exp(step[:, :3]), atol=0.2 * length**3, rtol=0)
    torch.testing.assert_close(t_new, t + (R @ step[:, 3:, None])[..., 0])
