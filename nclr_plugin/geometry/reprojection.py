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

from .se3 import so3_exp

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
        hessian: (B, 6, 6); where it is not positive definite, its Gauss-Newton part.
        nearest: (B,), the least depth of a point.
    """
    cost: Tensor
    gradient: Tensor
    hessian: Tensor
    nearest: Tensor


def make_problem(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor) -> PnPProblem:
    """Gathers a batch of problems.

    Args:
        points: (B, 3, N), centred and scaled.
        pixels: (B, 2, N), from the principal point.
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
    depth = h[:, 2:]
    pixel = h[:, :2] / depth
    error = pixel - problem.pixels
    cost = 0.5 * ((error * error).sum(1) * problem.weights).sum(1)
    nearest = torch.where(problem.weights > 0, depth[:, 0], torch.inf).amin(1)

    # The cost's gradient with respect to h is (e, -e.u) w / z for a pixel u with error e.
    first = problem.weights[:, None] / depth
    second = first / depth
    pull = torch.cat([error, -(error * pixel).sum(1, keepdim=True)], dim=1) * first
    force = pull @ problem.products[:, :4].transpose(1, 2)  # (B, 3, 4), summed against x~

    # How h moves with the six parameters, as linear maps of x~.
    r0, r1, r2 = R.unbind(1)
    zero = torch.zeros_like(r0)
    turn = torch.stack([zero, -r2, r1, r2, zero, -r0, -r1, r0, zero], dim=1).unflatten(1, (3, 3))
    motion = R.new_zeros(len(R), 6, 3, 4)
    motion[:, :3, :, 1:] = F[:, None] @ turn
    motion[:, 3:, :, 0] = F.transpose(1, 2)
    motion = motion.flatten(2)
    gradient = (motion @ force.flatten(1)[..., None])[..., 0]

    # The exponential map's own curvature, and then the projection's.
    torque = F.transpose(1, 2) @ force[..., 1:] @ R.transpose(1, 2)
    torque = 0.5 * (torque + torque.transpose(1, 2))
    hessian = motion @ _curvature(problem, pixel, error, second) @ motion.transpose(1, 2)
    hessian[:, :3, :3] += torque
    hessian[:, :3, :3].diagonal(dim1=1, dim2=2).sub_(
        torque.diagonal(dim1=1, dim2=2).sum(-1, keepdim=True))
    definite = torch.linalg.cholesky_ex(hessian)[1] == 0
    if not definite.all():
        no_error = torch.zeros_like(error)
        gauss_newton = (motion @ _curvature(problem, pixel, no_error, second)
                        @ motion.transpose(1, 2))
        hessian = torch.where(definite[:, None, None], hessian, gauss_newton)
    return Derivatives(cost, gradient, hessian, nearest)


def _curvature(problem: PnPProblem, pixel: Tensor, error: Tensor, scale: Tensor) -> Tensor:
    """The Hessian with respect to h, summed against ``x~ x~'``, (B, 12, 12).

    For one point it is ``[I, -u - e; ., u.u + 2 e.u] w / z^2``, where the terms with the error e
    are those that Gauss-Newton leaves out.
    """
    corner = (pixel * (pixel + 2 * error)).sum(1, keepdim=True) * scale
    scalars = torch.cat([scale, (pixel + error) * scale, corner], dim=1)
    moments = second_moments(scalars, problem)
    unit, u, v, corner = moments.unbind(1)
    zero = torch.zeros_like(unit)
    return torch.cat([torch.cat([unit, zero, -u], dim=2), torch.cat([zero, unit, -v], dim=2),
                      torch.cat([-u, -v, corner], dim=2)], dim=1)


def newton_step(at: Derivatives, damping: Tensor) -> Tuple[Tensor, Tensor]:
    """The step that the damped quadratic model asks for.

    Args:
        at: Derivatives of B problems.
        damping: (B,), added relative to the Hessian's diagonal.

    Returns:
        tuple: the step (B, 6) and the factored Hessian (B, 6, 6), lower triangular.
    """
    diagonal = at.hessian.diagonal(dim1=1, dim2=2)
    floor = 1e-13 * diagonal.amax(1, keepdim=True) + 1e-300
    factor, _ = torch.linalg.cholesky_ex(
        at.hessian + torch.diag_embed(damping[:, None] * diagonal + floor))
    return -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0], factor


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
    behind = at.nearest <= MIN_DEPTH
    if behind.any():  # visible points lie in front of the camera: so must the start
        push = torch.where(behind, 1 - at.nearest, torch.zeros_like(at.nearest))
        t = torch.cat([t[:, :2], t[:, 2:] + push[:, None]], dim=1)
        at = derivatives(problem, R, t)
    damping = torch.full_like(at.cost, 1e-6)
    for _ in range(iterations):
        step, _ = newton_step(at, damping)
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
    step, factor = newton_step(at, torch.zeros_like(damping))
    converged = step.abs().amax(1) < 10 * STEP_TOLERANCE
    R, t = move(R, t, torch.where(converged[:, None], step, torch.zeros_like(step)))
    return R, t, at.cost, factor, converged


def move(R: Tensor, t: Tensor, step: Tensor) -> Tuple[Tensor, Tensor]:
    """The pose (R, t) after a step (B, 6) in its local parameters."""
    return so3_exp(step[:, :3]) @ R, t + step[:, 3:]
