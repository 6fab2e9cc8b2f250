"""Losses of solved poses: NCLR, Eq. 7; CrossI2P, Eq. 14 and 15."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...geometry.camera import MIN_PROJECTION_DEPTH, project_points
from ...geometry.pnp import PnPSolution
from ...geometry.se3 import make_transform


def pose_loss(solution: PnPSolution, lidar2cam: Tensor) -> Tensor:
    r"""Compute Eq. 7: :math:`\|R_{gt}^T \hat R - E\|_H + \|t_{gt} - \hat t\|_H`, mean over views.

    The Huber norm is the mean over the entries of the matrix and of the vector (delta 1).
    A view without a pose adds nothing.

    Args:
        solution: Poses of V views.
        lidar2cam: (V, 4, 4), ground truth.
    """
    target = lidar2cam.to(solution.R.dtype)
    rotation = target[:, :3, :3].transpose(1, 2) @ solution.R
    identity = torch.eye(3, dtype=rotation.dtype, device=rotation.device).expand_as(rotation)
    per_view = F.huber_loss(rotation, identity, reduction='none').mean((1, 2)) + \
        F.huber_loss(solution.t, target[:, :3, 3], reduction='none').mean(1)
    return torch.where(solution.valid, per_view, torch.zeros_like(per_view)).mean().float()


def squared_pose_loss(solution: PnPSolution, lidar2cam: Tensor,
                      translation_weight: float = 0.5) -> Tensor:
    r"""Compute Eq. 14: :math:`\|R - R_{gt}\|^2 + \lambda \|t - t_{gt}\|^2`, mean over views.

    Squared Frobenius norm and squared metres. A view without a pose adds nothing.

    Args:
        solution: Poses of V views.
        lidar2cam: (V, 4, 4), ground truth.
        translation_weight: :math:`\lambda`.
    """
    target = lidar2cam.to(solution.R.dtype)
    per_view = (solution.R - target[:, :3, :3]).square().sum((1, 2)) + \
        translation_weight * (solution.t - target[:, :3, 3]).square().sum(1)
    return torch.where(solution.valid, per_view, torch.zeros_like(per_view)).mean().float()


def reprojection_loss(solution: PnPSolution, points: Tensor, pixels: Tensor, valid: Tensor,
                      cam2img: Tensor, unit: float = 1.) -> Tensor:
    r"""Compute Eq. 15: :math:`\sum_i \|\pi(R P_i + t) - I_i\|^2`, as a mean over points and views.

    Args:
        solution: Poses of V views; an invalid one adds nothing.
        points: (V, K, 3), metres, LiDAR frame.
        pixels: (V, K, 2), their target pixels.
        valid: (V, K) bool, points to use. Points behind the solved camera have no pixel and are
            ignored.
        cam2img: (V, 3, 3).
        unit: Unit of the error, pixels.
    """
    pose = make_transform(solution.R, solution.t)
    projected, depth = project_points(points.to(pose), pose, cam2img.to(pose))
    use = valid & (depth > MIN_PROJECTION_DEPTH) & solution.valid[:, None]
    error = (projected - pixels.to(pose)).square().sum(-1) / unit**2
    error = torch.where(use, error, torch.zeros_like(error))
    return (error.sum(1) / use.sum(1).clamp(min=1)).mean().float()
