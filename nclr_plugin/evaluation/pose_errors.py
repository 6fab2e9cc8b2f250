"""Errors of predicted poses, and what counts as a pose, for all metrics."""
from __future__ import annotations

import warnings
from typing import Any, Mapping, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..geometry.se3 import identity_pose, rotation_error_geodesic_deg, translation_error
from ..utils.optional import optional_import


class ViewPoses(NamedTuple):
    """Poses (lidar2cam) of the V views of a frame, float64 on the CPU.

    Attributes:
        target: (V, 4, 4) ground truth.
        predicted: (V, 4, 4) prediction; the identity baseline where ``valid`` is False.
        identity: (V, 4, 4) identity baseline, see :func:`~nclr_plugin.geometry.se3.identity_pose`.
        valid: (V,) bool, views with a predicted pose.
    """
    target: Tensor
    predicted: Tensor
    identity: Tensor
    valid: Tensor


def view_poses(sample: Mapping[str, Any]) -> ViewPoses:
    """Return the poses of a frame.

    A view has no pose where ``pred_valid`` is False, an entry is not finite, or the rotation block
    is no rotation (its determinant is not positive).

    Args:
        sample: :class:`~nclr_plugin.structures.CalibrationDataSample` as a dict, with
            ``lidar2cam``, ``pred_lidar2cam`` (V, 4, 4), ``pred_valid`` (V,), ``rigid_transform``.
    """
    target = sample['lidar2cam'].detach().cpu().double()
    predicted = sample['pred_lidar2cam'].detach().cpu().double()
    identity = identity_pose(target, sample['rigid_transform'])
    valid = (sample['pred_valid'].cpu().bool() & predicted.isfinite().flatten(1).all(dim=1)
             & (torch.linalg.det(predicted[:, :3, :3]) > 0))
    return ViewPoses(target, torch.where(valid[:, None, None], predicted, identity), identity,
                     valid)


def pose_errors(predicted: Tensor, target: Tensor) -> dict[str, list[float]]:
    """Return the errors of V poses.

    Args:
        predicted: (V, 4, 4) poses.
        target: (V, 4, 4) ground truth.

    Returns:
        Lists of length V: ``geodesic``, the angle of ``R_pred^-1 R_gt`` in degrees; ``euler_xzy``
        and ``euler_XYZ``, see :func:`rotation_error_euler_deg`; ``rte_m``, the distance of the
        translations in metres.
    """
    rotations = predicted[:, :3, :3], target[:, :3, :3]
    return dict(
        geodesic=rotation_error_geodesic_deg(*rotations).tolist(),
        euler_xzy=rotation_error_euler_deg(*rotations, 'xzy').tolist(),
        euler_XYZ=rotation_error_euler_deg(*rotations, 'XYZ').tolist(),
        rte_m=translation_error(predicted, target).tolist())


def rotation_error_euler_deg(R_pred: Tensor, R_gt: Tensor, order: str) -> np.ndarray:
    """Return the sum of the absolute Euler angles of ``R_pred^-1 R_gt``.

    Published image-to-point-cloud registration reports it as RRE. It exceeds the geodesic angle by
    up to a factor sqrt(3).

    Args:
        R_pred: (V, 3, 3) predicted rotations.
        R_gt: (V, 3, 3) true rotations.
        order: Three different axes in scipy's convention: lower case for fixed axes, upper case
            for moving ones.

    Returns:
        (V,) degrees.

    Raises:
        ImportError: If scipy is not installed.
    """
    transform = optional_import('scipy.spatial.transform', 'scipy', 'The rotation error')
    relative = (R_pred.transpose(-1, -2) @ R_gt).double().numpy()
    if not len(relative):
        return np.zeros(0)
    with warnings.catch_warnings():  # at gimbal lock, where scipy sets one angle to zero
        warnings.simplefilter('ignore', UserWarning)
        angles = transform.Rotation.from_matrix(relative).as_euler(order, degrees=True)
    return np.abs(angles).sum(axis=-1)


def recall_name(degrees: float, metres: float) -> str:
    """Return the name of the recall within both thresholds."""
    return f'recall_{degrees:g}deg_{metres:g}m'
