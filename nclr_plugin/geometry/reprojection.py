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
_STEP_TOLERANCE = 1e-6  # the steps are Newton's: what remains after such a one is its square


class PnPProblem(NamedTuple):
    """B pose problems in normalised units, float64.

    Attributes:
        points: (B, 3, N), about their centroid, in units of their extent.
        pixels: (B, 2, N), from the principal point.
        focal: (B, 2, 2), turns coordinates on the camera's plane z = 1 into such pixels.
        weights: (B, N), non-negative.
    """
    points: Tensor
    pixels: Tensor
    focal: Tensor
    weights: Tensor


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
        cam2img: (B, 3, 3), last row (0, 0, 1).
        weights: (B, N).
        centre: (B, 3), the origin of the normalised points.
        extent: (B,), their unit of length.

    Returns:
        PnPProblem: The normalised problems.
    """
    points = (points.transpose(1, 2).contiguous() - centre[..., None]) / extent[:, None, None]
    pixels = pixels.transpose(1, 2).contiguous() - cam2img[:, :2, 2:]
    return PnPProblem(points, pixels, cam2img[:, :2, :2], weights)


def residuals(problem: PnPProblem, R: Tensor, t: Tensor) -> Tuple[Tensor, ...]:
    """What the cost and all its derivatives are made of.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        tuple: rotated points (B, 3, N), inverse depths (B, 1, N), gradients of both pixel
        coordinates with respect to each point in the camera frame (B, 3, 2, N), weighted errors
        (B, 2, N), and cost (B,).
    """
    rotated = R @ problem.points
    in_camera = rotated + t[..., None]
    inverse_depth = 1 / in_camera[:, 2:]
    projected = (problem.focal @ in_camera[:, :2]) * inverse_depth
    focal = problem.focal.transpose(1, 2)[..., None].expand(-1, -1, -1, projected.shape[-1])
    slopes = torch.cat([focal, -projected[:, None]], dim=1) * inverse_depth[:, None]
    error = projected - problem.pixels
    weighted = error * problem.weights[:, None]
    return rotated, inverse_depth, slopes, weighted, 0.5 * (weighted * error).sum((1, 2))


def cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products along dimension 1, (B, 3, ...) each (torch.cross is slow there)."""
    a0, a1, a2 = a.unbind(1)
    b0, b1, b2 = b.unbind(1)
    return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim=1)


def wrenches(rotated: Tensor, slopes: Tensor, weighted: Tensor) -> Tensor:
    """The cost's gradient with respect to (omega, v), point by point, (B, 6, N)."""
    force = (slopes * weighted[:, None]).sum(2)
    return torch.cat([cross(rotated, force), force], dim=1)


def derivatives(problem: PnPProblem, R: Tensor, t: Tensor) -> Derivatives:
    """The cost and its first and second derivatives at a pose.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        Derivatives: At ``(R, t)``.
    """
    rotated, inverse_depth, slopes, weighted, cost = residuals(problem, R, t)
    wrench = wrenches(rotated, slopes, weighted)
    slopes *= problem.weights.sqrt()[:, None, None]
    J = torch.cat([cross(rotated[:, :, None], slopes), slopes], dim=1).flatten(2)
    gauss_newton = J @ J.transpose(1, 2)

    # Curvature of the projection: -(w d' + d w') / depth, with the wrench w and the derivative
    # of the depth d = (b, -a, 0, 0, 0, 1); then that of the exponential map.
    a, b, _ = rotated.unbind(1)
    levers = torch.cat([torch.stack([b, -a, torch.ones_like(a)], dim=1) * inverse_depth, rotated],
                       dim=1)
    moments = wrench @ levers.transpose(1, 2)
    torque = moments[:, 3:, 3:]
    trace = torque.diagonal(dim1=1, dim2=2).sum(-1)[:, None, None]
    eye = torch.eye(3, dtype=trace.dtype, device=trace.device)
    curvature = torch.zeros_like(gauss_newton)
    curvature[:, :, [0, 1, 5]] = -moments[:, :, :3]
    curvature[:, :3, :3] += 0.5 * (torque - trace * eye)
    hessian = gauss_newton + curvature + curvature.transpose(1, 2)
    nearest = torch.where(problem.weights > 0, 1 / inverse_depth[:, 0], torch.inf).amin(1)
    return Derivatives(cost, wrench.sum(-1), gauss_newton, hessian, nearest)


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
    definite = info == 0
    if definite.all():
        return factor
    safe, _ = torch.linalg.cholesky_ex(at.gauss_newton + extra)
    return torch.where(definite[:, None, None], factor, safe)


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
    damping = torch.full_like(at.cost, 1e-6)
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
