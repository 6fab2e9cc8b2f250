"""Huber loss of a pose (paper, Eq. 7)."""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nclr_plugin.geometry.pnp import PnPSolution


def pose_loss(solution: PnPSolution, lidar2cam: Tensor) -> Tensor:
    r"""Eq. 7: :math:`\|R_{gt}^T \hat R - E\|_H + \|t_{gt} - \hat t\|_H`, mean over views.

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
