"""Rigid transforms, rotations, and pose errors."""
from __future__ import annotations

from functools import wraps
from typing import Any, Callable

import numpy as np
import torch
from torch import Tensor

from ..utils.devices import constant


def accepts_arrays(function: Callable) -> Callable:
    """Let a function of tensors take numpy arrays, too: it then returns arrays."""

    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not any(isinstance(value, np.ndarray) for value in args):
            return function(*args, **kwargs)
        result = function(*map(_as_tensor, args), **kwargs)
        return tuple(value.numpy() for value in result) if isinstance(result, tuple) else \
            result.numpy()

    return wrapped


def _as_tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return torch.from_numpy(value if value.flags.writeable else value.copy())


def matmul_exact(a: Tensor, b: Tensor) -> Tensor:
    """Multiply outside autocast, in the wider of the two types and at least in float32.

    A coordinate of 50 m has a spacing of 0.25 m in bfloat16, so geometry must not be autocast.
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        return a.to(dtype) @ b.to(dtype)


@accepts_arrays
def make_transform(R: Tensor, t: Tensor) -> Tensor:
    """Return the 4x4 matrix of ``p -> R p + t``.

    Args:
        R: Rotation, (..., 3, 3).
        t: Translation, (..., 3), metres.

    Returns:
        (..., 4, 4).
    """
    top = torch.cat([R, t[..., None]], dim=-1)
    bottom = constant((0., 0., 0., 1.), top.dtype, top.device).expand(*top.shape[:-2], 1, 4)
    return torch.cat([top, bottom], dim=-2)


@accepts_arrays
def invert_transform(T: Tensor) -> Tensor:
    """Invert a rigid transform by transposing its rotation.

    Args:
        T: (..., 4, 4) with an orthonormal rotation block.

    Returns:
        (..., 4, 4).
    """
    R = T[..., :3, :3].transpose(-1, -2)
    return make_transform(R, -matmul_exact(R, T[..., :3, 3:])[..., 0].to(T.dtype))


@accepts_arrays
def transform_points(T: Tensor, points: Tensor) -> Tensor:
    """Apply rigid transforms to points.

    Args:
        T: (..., 4, 4).
        points: (..., N, 3), metres, in the frame that ``T`` maps from.

    Returns:
        (..., N, 3), in the wider type of the two arguments.
    """
    return matmul_exact(points, T[..., :3, :3].transpose(-1, -2)) + T[..., None, :3, 3]


def skew(v: Tensor) -> Tensor:
    """Return the matrix of the cross product: ``skew(v) @ p == cross(v, p)``.

    Args:
        v: (..., 3).

    Returns:
        (..., 3, 3).
    """
    x, y, z = v.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))


@accepts_arrays
def so3_exp(omega: Tensor) -> Tensor:
    """Return the rotation of a rotation vector, differentiable everywhere (Rodrigues).

    Args:
        omega: Rotation vectors, (..., 3), radians.

    Returns:
        Rotations (..., 3, 3).
    """
    square = (omega * omega).sum(-1)
    small = square < 1e-6  # the series below is exact to 1e-18 there
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    a = torch.where(small, 1 - square / 6 * (1 - square / 20), angle.sin() / angle)
    half = angle / 2
    b = torch.where(small, 0.5 - square / 24 * (1 - square / 30), 0.5 * (half.sin() / half)**2)
    eye = torch.eye(3, dtype=omega.dtype, device=omega.device)
    outer = omega[..., :, None] * omega[..., None, :]  # skew(omega)^2 = outer - square I
    return ((1 - b * square)[..., None, None] * eye + a[..., None, None] * skew(omega)
            + b[..., None, None] * outer)


@accepts_arrays
def so3_log(R: Tensor) -> Tensor:
    """Return the rotation vector of a rotation, accurate and differentiable from 0 to pi.

    Args:
        R: Rotations, (..., 3, 3).

    Returns:
        (..., 3), radians, of norm at most pi.
    """
    w, v = _quaternion(R)
    square = (v * v).sum(-1)
    small = square < 1e-12
    sine = torch.where(small, torch.ones_like(square), square).sqrt()
    factor = torch.where(small, 2 / w.clamp(min=0.5), 2 * torch.atan2(sine, w) / sine)
    return factor[..., None] * v


def _quaternion(R: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit quaternions (w (...,), v (..., 3)) with w >= 0.

    Each row of ``4 q q^T`` is the quaternion up to scale; its longest row is never near zero, so
    neither the value nor the gradient degenerates, at any angle.
    """
    (m00, m01, m02), (m10, m11, m12), (m20, m21, m22) = (
        row.unbind(-1) for row in R.unbind(-2))
    x, y, z = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m01 + m10, m02 + m20, m12 + m21
    outer = torch.stack([
        1 + m00 + m11 + m22, x, y, z,
        x, 1 + m00 - m11 - m22, xy, xz,
        y, xy, 1 - m00 + m11 - m22, yz,
        z, xz, yz, 1 - m00 - m11 + m22,
    ], dim=-1).unflatten(-1, (4, 4))
    longest = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)
    index = longest[..., None, None].expand(*longest.shape, 1, 4)
    q = outer.gather(-2, index)[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    q = torch.where(q[..., :1] < 0, -q, q)
    return q[..., 0], q[..., 1:]


def yaw_rotation(yaw: Tensor) -> Tensor:
    """Return rotations about the LiDAR's z axis.

    Args:
        yaw: (...), radians, counterclockwise when viewed from above.

    Returns:
        (..., 3, 3).
    """
    c, s = yaw.cos(), yaw.sin()
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], dim=-1).unflatten(-1, (3, 3))


def identity_pose(lidar2cam: Tensor, rigid_transform: Any) -> Tensor:
    """Return the extrinsics before a random rigid transform of the scan: the identity baseline.

    It predicts that the sensors have not moved. A method has to beat it.

    Args:
        lidar2cam: (..., 4, 4) extrinsics after the transform.
        rigid_transform: (4, 4) array or tensor, the random rigid transform: ``p' =
            rigid_transform @ p``.

    Returns:
        (..., 4, 4), in the type of ``lidar2cam``.
    """
    return matmul_exact(lidar2cam, torch.as_tensor(
        rigid_transform, dtype=lidar2cam.dtype, device=lidar2cam.device))


@accepts_arrays
def rotation_error_geodesic_deg(R_pred: Tensor, R_gt: Tensor) -> Tensor:
    """Return the angle of ``R_pred^-1 R_gt``.

    Args:
        R_pred: (..., 3, 3).
        R_gt: (..., 3, 3).

    Returns:
        (...), degrees in [0, 180].
    """
    return so3_log(matmul_exact(R_pred.transpose(-1, -2), R_gt)).norm(dim=-1).rad2deg()


@accepts_arrays
def translation_error(T_pred: Tensor, T_gt: Tensor) -> Tensor:
    """Return the distance between the translations of two transforms (``RTE``).

    Args:
        T_pred: (..., 4, 4).
        T_gt: (..., 4, 4).

    Returns:
        (...), metres.
    """
    return (T_pred[..., :3, 3] - T_gt[..., :3, 3]).norm(dim=-1)
