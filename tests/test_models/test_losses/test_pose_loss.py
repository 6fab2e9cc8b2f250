"""Eq. 7 transcribed."""
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.geometry.pnp import PnPSolution
from nclr_plugin.models.losses import pose_loss


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
