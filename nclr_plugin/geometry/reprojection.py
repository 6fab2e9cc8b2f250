"""The weighted reprojection error of a pose: its value, derivatives and minimum.

A pose is varied about the centroid of the points: ``p = exp(omega) R x + t + v`` with centred
points ``x``; ``(omega, v)`` are its six local parameters. With ``F = diag(focal, 1)``, the point
``h = F p`` has the pixel ``(h_0, h_1) / h_2``, and ``h`` is linear in ``x~ = (1, x)``. So every
derivative is a sum over points of a scalar times a product of two entries of ``x~``: the products
are the problem's, the scalars the pose's, and one matrix product gives all the sums.
"""
from __future__ import annotations

from typing import NamedTuple, Tuple

import torch
from torch import Tensor

from .se3 import skew, so3_exp

MIN_DEPTH = 1e-3  # in units of the points' extent; a pose with a nearer point is never accepted
STEP_TOLERANCE = 1e-6  # radians and extents; a Newton step that short leaves its square


class PnPProblem(NamedTuple):
    """B pose problems in normalised units, float64.

    Attributes:
        points: (B, 3, N), about their centroid, in units of their extent.
        products: (B, 10, N), the different products of two entries of (1, x).
        pixels: (B, 2, N), from the principal point.
        focal: (B, 3, 3), ``F``: cam2img without its principal point.
        weights: (B, N), non-negative, of sum one.
    """
    points: Tensor
    products: Tensor
    pixels: Tensor
    focal: Tensor
    weights: Tensor


class Derivatives(NamedTuple):
    """Half the weighted squared reprojection error and its derivatives at a pose.

    Attributes:
        cost: (B,), square pixels.
        gradient: (B, 6), with respect to (omega, v).
        gauss_newton: (B, 6, 6), the part of the Hessian with first derivatives only.
        hessian: (B, 6, 6), the whole Hessian.
        nearest: (B,), the least depth of a point.
    """
    cost: Tensor
    gradient: Tensor
    gauss_newton: Tensor
    hessian: Tensor
    nearest: Tensor


def make_problem(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor) -> PnPProblem:
    """Gathers a batch of problems.

    Args:
        points: (B, 3, N), centred and scaled.
        pixels: (B, N, 2).
        cam2img: (B, 3, 3), last row (0, 0, 1).
        weights: (B, N).

    Returns:
        PnPProblem: The problems.
    """
    x, y, z = points.unbind(1)
    products = torch.stack([torch.ones_like(x), x, y, z, x * x, x * y, x * z, y * y, y * z, z * z],
                           dim=1)
    focal = cam2img.clone()
    focal[:, :2, 2] = 0
    pixels = pixels.transpose(1, 2).contiguous() - cam2img[:, :2, 2:]
    return PnPProblem(points, products, pixels, focal, weights)


def second_moments(scalars: Tensor, problem: PnPProblem) -> Tensor:
    """Sums over points of each scalar times ``x~ x~'``.

    Args:
        scalars: (B, K, N).
        problem: B problems.

    Returns:
        Tensor: (B, K, 4, 4).
    """
    sums = scalars @ problem.products.transpose(1, 2)
    index = torch.tensor([0, 1, 2, 3, 1, 4, 5, 6, 2, 5, 7, 8, 3, 6, 8, 9], device=sums.device)
    return sums[..., index].unflatten(-1, (4, 4))


def derivatives(problem: PnPProblem, R: Tensor, t: Tensor) -> Derivatives:
    """The cost and its first and second derivatives at a pose.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        Derivatives: At ``(R, t)``.
    """
    F = problem.focal
    h = torch.baddbmm(F @ t[..., None], F @ R, problem.points)
    depth = h[:, 2]
    inverse = 1 / depth
    pixel = h[:, :2] * inverse[:, None]
    error = pixel - problem.pixels
    square = error * error
    cost = 0.5 * ((square[:, 0] + square[:, 1]) * problem.weights).sum(1)
    nearest = torch.where(problem.weights > 0, depth, torch.inf).amin(1)

    # Per point, with u the pixel and e its error: the gradient with respect to h is
    # (e, -e.u) w / z; the Hessian is w / z^2 times [I, -u - e; ., u.u + 2 e.u], of which the
    # terms with e are second order.
    first = problem.weights * inverse
    second = (first * inverse)[:, None]
    along = (error * pixel).sum(1, keepdim=True)
    length = (pixel * pixel).sum(1, keepdim=True)
    pull = torch.cat([error, along], dim=1)
    moments = second_moments(
        torch.cat([pull * first[:, None], second, torch.cat([pixel, length, pull], 1) * second],
                  dim=1), problem)
    force = moments[:, :3, 0] * moments.new_tensor([[1.], [1.], [-1.]])
    unit, u, length, e, along = moments[:, 3:].split([1, 2, 1, 2, 1], dim=1)

    # How h moves with the six parameters, as linear maps of x~.
    turn = F[:, None] @ (skew(torch.eye(3, dtype=R.dtype, device=R.device)) @ R[:, None])
    motion = R.new_zeros(len(R), 6, 3, 4)
    motion[:, :3, :, 1:] = turn
    motion[:, 3:, :, 0] = F.transpose(1, 2)
    motion = motion.flatten(2)
    gauss_newton = motion @ _curvature(unit, u, length) @ motion.transpose(1, 2)
    hessian = motion @ _curvature(unit, u + e, length + 2 * along) @ motion.transpose(1, 2)
    # The exponential map's own curvature.
    torque = F.transpose(1, 2) @ force[..., 1:] @ R.transpose(1, 2)
    torque = 0.5 * (torque + torque.transpose(1, 2))
    hessian[:, :3, :3] += torque
    hessian[:, :3, :3].diagonal(dim1=1, dim2=2).sub_(
        torque.diagonal(dim1=1, dim2=2).sum(-1, keepdim=True))
    gradient = (motion @ force.flatten(1)[..., None])[..., 0]
    return Derivatives(cost, gradient, gauss_newton, hessian, nearest)


def _curvature(unit: Tensor, u: Tensor, length: Tensor) -> Tensor:
    """The Hessian with respect to h, summed against ``x~ x~'``: (B, 12, 12) from (B, ., 4, 4)."""
    unit, length, (u, v) = unit[:, 0], length[:, 0], u.unbind(1)
    zero = torch.zeros_like(unit)
    return torch.cat([torch.cat([unit, zero, -u], dim=2), torch.cat([zero, unit, -v], dim=2),
                      torch.cat([-u, -v, length], dim=2)], dim=1)


def damped_cholesky(at: Derivatives, damping: Tensor) -> Tensor:
    """Factors the Hessian, or its Gauss-Newton part where the whole is not positive definite.

    Args:
        at: Derivatives of B problems.
        damping: (B,), added relative to the Gauss-Newton diagonal.

    Returns:
        Tensor: (B, 6, 6), lower triangular.
    """
    diagonal = at.gauss_newton.diagonal(dim1=1, dim2=2)
    floor = 1e-13 * diagonal.amax(1, keepdim=True) + 1e-300
    extra = torch.diag_embed(damping[:, None] * diagonal + floor)
    factor, info = torch.linalg.cholesky_ex(at.hessian + extra)
    definite = info == 0
    if definite.all():
        return factor
    safe, _ = torch.linalg.cholesky_ex(at.gauss_newton + extra)
    return torch.where(definite[:, None, None], factor, safe)


def minimise(problem: PnPProblem, R: Tensor, t: Tensor,
             iterations: int) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Levenberg-Marquardt with the whole Hessian, from a given pose to the nearest minimum.

    Args:
        problem: B problems.
        R: (B, 3, 3), where to start.
        t: (B, 3).
        iterations: Largest number of steps; it ends early once no pose moves.

    Returns:
        tuple: R (B, 3, 3), t (B, 3), cost (B,), the factored Hessian (B, 6, 6), and which poses
        converged (B,).
    """
    at = derivatives(problem, R, t)
    damping = torch.full_like(at.cost, 1e-6)
    for _ in range(iterations):
        factor = damped_cholesky(at, damping)
        step = -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0]
        if (step.abs().amax(1) < STEP_TOLERANCE).all():
            break
        R_new, t_new = move(R, t, step)
        new = derivatives(problem, R_new, t_new)
        accept = (new.nearest > MIN_DEPTH) & (new.cost <= at.cost * (1 + 1e-12))
        if accept.all():
            R, t, at = R_new, t_new, new
        else:
            R = torch.where(accept[:, None, None], R_new, R)
            t = torch.where(accept[:, None], t_new, t)
            at = Derivatives(*(torch.where(accept.view(-1, *[1] * (old.dim() - 1)), fresh, old)
                               for fresh, old in zip(new, at)))
        damping = torch.where(accept, damping * 0.01, damping.clamp(min=1e-5) * 10)
    # The last step, undamped: for a converged pose too short to need another evaluation.
    factor = damped_cholesky(at, torch.zeros_like(damping))
    step = -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0]
    converged = step.abs().amax(1) < 10 * STEP_TOLERANCE
    R, t = move(R, t, torch.where(converged[:, None], step, torch.zeros_like(step)))
    return R, t, at.cost, factor, converged


def move(R: Tensor, t: Tensor, step: Tensor) -> Tuple[Tensor, Tensor]:
    """The pose (R, t) after a step (B, 6) in its local parameters."""
    return so3_exp(step[:, :3]) @ R, t + step[:, 3:]
