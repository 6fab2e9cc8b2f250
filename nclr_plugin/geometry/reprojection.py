"""The weighted reprojection error of a pose: its value, derivatives and minimum.

A pose is varied about the centroid of the points: ``p = exp(omega) R x + t + v`` with the
centred points ``x``; ``(omega, v)`` are its six local parameters. Points, in units of their own
extent, are kept as (B, 3, N), so that a sum over points is one batched matrix product.
"""
from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from .se3 import so3_exp

MIN_DEPTH = 1e-3  # in units of the points' extent; a pose with a nearer point is never accepted
_STEP_TOLERANCE = 1e-9


class PnPProblem(NamedTuple):
    """B pose problems in normalised units, float64.

    Attributes:
        points: (B, 3, N), about their centroid, in units of their extent.
        rays: (B, 2, N), the pixels on the plane z = 1 of the camera.
        weights: (B, N), non-negative.
        metric: (B, 2, 2), turns a squared distance on that plane into squared pixels.
    """
    points: Tensor
    rays: Tensor
    weights: Tensor
    metric: Tensor


class Derivatives(NamedTuple):
    """Half the weighted squared reprojection error and its derivatives at a pose.

    Attributes:
        cost: (B,).
        gradient: (B, 6).
        gauss_newton: (B, 6, 6), the part of the Hessian with first derivatives only.
        hessian: (B, 6, 6), the whole Hessian.
        nearest: (B,), the least depth of a point.
    """
    cost: Tensor
    gradient: Tensor
    gauss_newton: Tensor
    hessian: Tensor
    nearest: Tensor


def make_problem(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor,
                 centre: Tensor, extent: Tensor) -> PnPProblem:
    """Normalises a batch of problems; differentiable.

    Args:
        points: (B, N, 3).
        pixels: (B, N, 2).
        cam2img: (B, 3, 3), upper triangular with last row (0, 0, 1).
        weights: (B, N).
        centre: (B, 3), the origin of the normalised points.
        extent: (B,), their unit of length.

    Returns:
        PnPProblem: The normalised problems.
    """
    points = (points - centre[:, None]).transpose(1, 2) / extent[:, None, None]
    u, v = pixels.unbind(-1)
    fx, skewness, cx = cam2img[:, 0, :, None].unbind(1)
    fy, cy = cam2img[:, 1, 1:, None].unbind(1)
    y = (v - cy) / fy
    x = (u - cx - skewness * y) / fx
    focal = cam2img[:, :2, :2]
    return PnPProblem(points.contiguous(), torch.stack([x, y], dim=1), weights,
                      focal.transpose(1, 2) @ focal)


def residuals(problem: PnPProblem, R: Tensor, t: Tensor) -> Tuple[Tensor, ...]:
    """What the cost and all its derivatives are made of.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        tuple: rotated points (B, 3, N), inverse depths (B, 1, N), projections (B, 2, N), cost
        (B,), and the cost's gradient with respect to each point in the camera frame (B, 3, N).
    """
    rotated = R @ problem.points
    inverse_depth = 1 / (rotated[:, 2:] + t[:, 2:, None])
    projected = (rotated[:, :2] + t[:, :2, None]) * inverse_depth
    error = projected - problem.rays
    pull = (problem.metric @ error) * problem.weights[:, None]
    cost = 0.5 * (pull * error).sum((1, 2))
    pull = pull * inverse_depth
    along = (pull * projected).sum(1, keepdim=True)
    return rotated, inverse_depth, projected, cost, torch.cat([pull, -along], dim=1)


def pose_gradient(rotated: Tensor, force: Tensor) -> Tensor:
    """The cost's gradient with respect to (omega, v).

    Args:
        rotated: (B, 3, N).
        force: (B, 3, N), gradient with respect to each point in the camera frame.

    Returns:
        Tensor: (B, 6).
    """
    product = force @ rotated.transpose(1, 2)  # entry (i, j): sum of force_i rotated_j
    torque = torch.stack([product[:, 2, 1] - product[:, 1, 2],
                          product[:, 0, 2] - product[:, 2, 0],
                          product[:, 1, 0] - product[:, 0, 1]], dim=1)
    return torch.cat([torque, force.sum(-1)], dim=1)


def derivatives(problem: PnPProblem, R: Tensor, t: Tensor) -> Derivatives:
    """The cost and its first and second derivatives at a pose.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        Derivatives: At ``(R, t)``.
    """
    rotated, inverse_depth, projected, cost, force = residuals(problem, R, t)
    a, b, c = rotated.unbind(1)
    x, y = projected.unbind(1)
    batch, count = x.shape

    # Jacobians of both projected coordinates, times the square root of the weights.
    J = rotated.new_zeros(batch, 2, 6, count)
    torch.mul(b, x, out=J[:, 0, 0]).neg_()
    torch.addcmul(c, a, x, out=J[:, 0, 1])
    torch.neg(b, out=J[:, 0, 2])
    J[:, 0, 3] = 1
    torch.neg(x, out=J[:, 0, 5])
    torch.addcmul(c, b, y, out=J[:, 1, 0]).neg_()
    torch.mul(a, y, out=J[:, 1, 1])
    J[:, 1, 2] = a
    J[:, 1, 4] = 1
    torch.neg(y, out=J[:, 1, 5])
    J *= (problem.weights.sqrt()[:, None] * inverse_depth)[:, None]
    J = J.flatten(1, 2)
    products = (J @ J.transpose(1, 2)).view(batch, 2, 6, 2, 6)
    gauss_newton = torch.einsum('bij,bimjn->bmn', problem.metric, products)

    # The projection's own curvature: -(w d' + d w') / depth, with w the wrench of the force and
    # d = (b, -a, 0, 0, 0, 1) the derivative of the depth.
    moved = force * inverse_depth
    levers = torch.stack([b, -a, torch.ones_like(a)], dim=1).transpose(1, 2)
    wrench = torch.cat([torch.cross(rotated, moved, dim=1), moved], dim=1) @ levers
    curvature = torch.zeros_like(gauss_newton)
    curvature[:, :, 0] = wrench[:, :, 0]
    curvature[:, :, 1] = wrench[:, :, 1]
    curvature[:, :, 5] = wrench[:, :, 2]
    # The exponential map's curvature.
    product = force @ rotated.transpose(1, 2)
    curvature[:, :3, :3] -= 0.5 * product
    curvature[:, :3, :3].diagonal(dim1=1, dim2=2).add_(
        0.5 * product.diagonal(dim1=1, dim2=2).sum(-1, keepdim=True))
    hessian = gauss_newton - curvature - curvature.transpose(1, 2)
    nearest = torch.where(problem.weights > 0, 1 / inverse_depth[:, 0], torch.inf).amin(1)
    return Derivatives(cost, pose_gradient(rotated, force), gauss_newton, hessian, nearest)


def damped_cholesky(at: Derivatives, damping: Tensor) -> Tensor:
    """Factors the Hessian, or its Gauss-Newton part where the whole is not positive definite.

    Args:
        at: Derivatives of B problems.
        damping: (B,), added relative to the Gauss-Newton diagonal.

    Returns:
        Tensor: (B, 6, 6), lower triangular.
    """
    diagonal = at.gauss_newton.diagonal(dim1=1, dim2=2)
    floor = 1e-12 * diagonal.amax(1, keepdim=True).clamp(min=1e-300)
    extra = torch.diag_embed(damping[:, None] * diagonal + floor)
    factor, info = torch.linalg.cholesky_ex(at.hessian + extra)
    safe, _ = torch.linalg.cholesky_ex(at.gauss_newton + extra)
    return torch.where((info == 0)[:, None, None], factor, safe)


def minimise(problem: PnPProblem, R: Tensor, t: Tensor,
             iterations: int) -> Tuple[Tensor, Tensor, Derivatives]:
    """Levenberg-Marquardt with the whole Hessian, from a given pose to the nearest minimum.

    Args:
        problem: B problems.
        R: (B, 3, 3), where to start.
        t: (B, 3).
        iterations: Largest number of steps; it ends early once no pose moves.

    Returns:
        tuple: R (B, 3, 3), t (B, 3), and the derivatives there.
    """
    at = derivatives(problem, R, t)
    damping = torch.full_like(at.cost, 1e-4)
    for _ in range(iterations):
        step = -torch.cholesky_solve(at.gradient[..., None], damped_cholesky(at, damping))[..., 0]
        R_new = so3_exp(step[:, :3]) @ R
        t_new = t + step[:, 3:]
        new = derivatives(problem, R_new, t_new)
        accept = (new.nearest > MIN_DEPTH) & (new.cost <= at.cost * (1 + 1e-12))
        R = torch.where(accept[:, None, None], R_new, R)
        t = torch.where(accept[:, None], t_new, t)
        at = Derivatives(*(torch.where(accept.view(-1, *[1] * (old.dim() - 1)), fresh, old)
                           for fresh, old in zip(new, at)))
        damping = torch.where(accept, damping * 0.01, damping.clamp(min=1e-5) * 10)
        if (step.abs().amax(1) < _STEP_TOLERANCE).all():
            break
    return R, t, at
