"""NCLR's Eq. 7, CrossI2P's Eq. 14 and 15, and their gradients through the PnP layer."""
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.geometry.pnp import PnPSolution, solve_pnp
from nclr_plugin.geometry.se3 import make_transform, so3_exp
from nclr_plugin.models.losses import pose_loss, reprojection_loss, squared_pose_loss


def _huber(x):
    return torch.where(x.abs() < 1, x**2 / 2, x.abs() - 0.5)


def test_is_the_equation_and_skips_views_without_a_pose():
    torch.manual_seed(0)
    R = torch.from_numpy(Rotation.random(3, random_state=0).as_matrix())
    R_gt = torch.from_numpy(Rotation.random(3, random_state=1).as_matrix())
    t, t_gt = torch.randn(3, 3).double() * 3, torch.randn(3, 3).double()
    lidar2cam = torch.eye(4, dtype=torch.double).repeat(3, 1, 1)
    lidar2cam[:, :3, :3], lidar2cam[:, :3, 3] = R_gt, t_gt
    valid = torch.tensor([True, False, True])
    expected = sum(
        _huber(R_gt[i].T @ R[i] - torch.eye(3)).mean() + _huber(t_gt[i] - t[i]).mean()
        for i in (0, 2)) / 3
    R, t = R.requires_grad_(), t.requires_grad_()
    result = pose_loss(PnPSolution(R, t, valid, torch.zeros(3)), lidar2cam)
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-6)
    result.backward()
    assert (R.grad[1] == 0).all() and (t.grad[1] == 0).all() and R.grad[0].abs().sum() > 0


def test_the_true_pose_costs_nothing():
    lidar2cam = torch.eye(4).repeat(2, 1, 1)
    solution = PnPSolution(lidar2cam[:, :3, :3], lidar2cam[:, :3, 3], torch.ones(2).bool(), None)
    assert pose_loss(solution, lidar2cam) == 0


CAM2IMG = torch.tensor([[80., 0, 64], [0, 80, 32], [0, 0, 1]]).double()


def scene(views=2, count=20, noise=1.):
    torch.manual_seed(0)
    lidar2cam = make_transform(so3_exp(torch.randn(views, 3).double()),
                               torch.randn(views, 3).double())
    in_camera = torch.rand(views, count, 3).double() * torch.tensor([8., 4, 20]) + \
        torch.tensor([-4., -2, 6])
    points = (in_camera - lidar2cam[:, None, :3, 3]) @ lidar2cam[:, :3, :3]
    pixels = in_camera / in_camera[..., 2:] @ CAM2IMG.T
    pixels = pixels[..., :2] + noise * torch.randn(views, count, 2).double()
    return points, pixels, lidar2cam, CAM2IMG.expand(views, 3, 3)


def solution(R, t, valid):
    return PnPSolution(R, t, torch.tensor(valid), torch.zeros(len(R)))


def test_pose_loss_is_the_formula():
    *_, target, _ = scene(3)
    *_, pose, _ = scene(3)
    turn = so3_exp(torch.full((3, 3), 0.1).double())
    pose = make_transform(turn, torch.ones(3, 3).double()) @ pose
    found = squared_pose_loss(solution(pose[:, :3, :3], pose[:, :3, 3], [True, True, False]),
                              target, 0.5)
    a, b = pose.numpy(), target.numpy()
    each = [((a[v, :3, :3] - b[v, :3, :3])**2).sum() + 0.5 * ((a[v, :3, 3] - b[v, :3, 3])**2).sum()
            for v in range(2)]
    assert float(found) == pytest.approx(sum(each) / 3, rel=1e-6)


def test_reprojection_loss_is_the_formula():
    points, pixels, pose, cam2img = scene(2)
    valid = torch.ones(2, 20, dtype=torch.bool)
    valid[0, 3:6] = False
    found = reprojection_loss(solution(pose[:, :3, :3], pose[:, :3, 3], [True, True]), points,
                              pixels, valid, cam2img, unit=4.)
    total = 0.
    for view in range(2):
        errors = []
        for point, pixel, use in zip(points[view], pixels[view], valid[view]):
            ray = cam2img[view].numpy() @ (pose[view, :3, :3] @ point + pose[view, :3, 3]).numpy()
            if use:
                errors.append((((ray / ray[2])[:2] - pixel.numpy())**2).sum() / 16)
        total += np.mean(errors)
    assert float(found) == pytest.approx(total / 2, rel=1e-6)


def test_points_behind_and_views_without_a_pose_add_nothing():
    points, pixels, pose, cam2img = scene(2)
    valid = torch.ones(2, 20, dtype=torch.bool)
    whole = solution(pose[:, :3, :3], pose[:, :3, 3], [True, False])
    one = reprojection_loss(whole, points, pixels, valid, cam2img)
    behind = points.clone()
    behind[0, 0] = pose[0, :3, :3].T @ (torch.tensor([0., 0, -5]).double() - pose[0, :3, 3])
    without = valid.clone()
    without[0, 0] = False
    assert float(reprojection_loss(whole, behind, pixels, valid, cam2img)) == pytest.approx(
        float(reprojection_loss(whole, points, pixels, without, cam2img)))
    assert one > 0
    none = solution(pose[:, :3, :3], pose[:, :3, 3], [False, False])
    assert reprojection_loss(none, points, pixels, valid, cam2img) == 0


@pytest.mark.parametrize('target', ['true', 'matched'])
def test_gradients_through_the_solver_match_differences(target):
    points, pixels, lidar2cam, cam2img = scene(1, 12)
    true = pixels + torch.randn_like(pixels) * 2
    valid = torch.ones(1, 12, dtype=torch.bool)

    def total(matched):
        found = solve_pnp(points, matched, cam2img, iterations=50)
        aim = true if target == 'true' else matched
        # float64 for the differences: the losses themselves are returned in float32.
        return 1e3 * (reprojection_loss(found, points, aim, valid, cam2img)
                      + squared_pose_loss(found, lidar2cam))

    matched = pixels.clone().requires_grad_()
    total(matched).backward()
    for index in ((0, 0, 0), (0, 5, 1), (0, 11, 0)):
        step = torch.zeros_like(pixels)
        step[index] = 1e-2
        difference = (total(pixels + step) - total(pixels - step)) / 2e-2
        assert float(matched.grad[index]) == pytest.approx(float(difference), rel=2e-2, abs=1e-2)


def test_at_its_minimum_the_pose_has_no_gradient_from_matched_pixels():
    """Why the true pixels are the default: what is left asks for matches that agree."""
    points, pixels, _, cam2img = scene(1, 12)
    valid = torch.ones(1, 12, dtype=torch.bool)
    found = solve_pnp(points, pixels, cam2img, iterations=50)
    R, t = found.R.detach().requires_grad_(), found.t.detach().requires_grad_()
    reprojection_loss(found._replace(R=R, t=t), points, pixels, valid, cam2img).backward()
    # A step along the rotations, as R itself is not free.
    tangent = torch.stack([(R.grad[0] * (torch.linalg.cross(
        torch.eye(3).double()[axis].expand(3, 3), R.detach()[0].T).T)).sum() for axis in range(3)])
    assert t.grad.abs().max() < 1e-4 and tangent.abs().max() < 1e-3
