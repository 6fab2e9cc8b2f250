"""The weighted reprojection error of a pose: its value, derivatives and minimum.

A pose is varied about the centroid of the points: ``p = R (exp(omega) x + v) + t`` with centred
points ``x``; ``(omega, v)`` are its six local parameters. With ``F = diag(focal, 1)``, the point
``h = F p`` has the pixel ``(h_0, h_1) / h_2``, and ``h`` is linear in ``x~ = (1, x)``. So every
derivative is a sum over points of a scalar times a product of two entries of ``x~``. The products
depend on the problem, the scalars on the pose, and one matrix product gives all the sums. The
parameters move ``x`` before ``F R`` is applied, so that all else is linear with constant tables.
"""
from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..utils.devices import surely_all
from .se3 import skew

MIN_DEPTH = 1e-3  # in units of the points' extent; a pose with a nearer point is never accepted
STEP_TOLERANCE = 1e-6  # radians and extents; after so short a Newton step, its square is left
# The first steps sum over float32 points, until all are this short, or up to this number.
SINGLE_TOLERANCE = 3e-4
SINGLE_STEPS = 5


class PnPProblem(NamedTuple):
    """B pose problems in normalised units.

    Attributes:
        products: (B, 10, N), the distinct products of two entries of ``x~ = (1, x)``; the first
            four are ``x~``. ``x`` is relative to its centroid, in units of its extent.
        pixels: (B, 2, N), relative to the principal point.
        focal: (B, 3, 3), ``F``: cam2img without its principal point, float64.
        weights: (B, N), non-negative, summing to one. Absent points lie at the centroid.
    """
    products: Tensor
    pixels: Tensor
    focal: Tensor
    weights: Tensor

    def single(self) -> PnPProblem:
        """Return the problem with its points in float32, whose sums cost half as much."""
        return PnPProblem(self.products.float(), self.pixels.float(), self.focal,
                          self.weights.float())


class Derivatives(NamedTuple):
    """Half the weighted squared reprojection error and its derivatives at a pose, float64.

    Attributes:
        cost: (B,), square pixels.
        gradient: (B, 6), with respect to (omega, v).
        hessian: (B, 6, 6); where it is not positive definite, its Gauss-Newton part.
        factor: (B, 6, 6), the Hessian's Cholesky factor, lower triangular.
        nearest: (B,), the least depth of a point.
    """
    cost: Tensor
    gradient: Tensor
    hessian: Tensor
    factor: Tensor
    nearest: Tensor


def make_problem(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor) -> PnPProblem:
    """Build a batch of problems.

    Args:
        points: (B, 3, N), centred and scaled.
        pixels: (B, 2, N), relative to the principal point.
        cam2img: (B, 3, 3), last row (0, 0, 1).
        weights: (B, N).

    Returns:
        The problems.
    """
    products = points.new_ones(len(points), 10, points.shape[2])
    products[:, 1:4] = points
    torch.mul(points[:, :1], points, out=products[:, 4:7])
    torch.mul(points[:, 1:2], points[:, 1:], out=products[:, 7:9])
    torch.mul(points[:, 2], points[:, 2], out=products[:, 9])
    focal = cam2img.clone()
    focal[:, :2, 2] = 0
    return PnPProblem(products, pixels, focal, weights)


def second_moments(scalars: Tensor, problem: PnPProblem) -> Tensor:
    """Sum each scalar times ``x~ x~'`` over the points.

    Args:
        scalars: (B, K, N).
        problem: B problems.

    Returns:
        (B, K, 4, 4), float64.
    """
    sums = (scalars @ problem.products.transpose(1, 2)).double()
    return sums.index_select(-1, _tables(sums.device).place).unflatten(-1, (4, 4))


def derivatives(problem: PnPProblem, R: Tensor, t: Tensor) -> Derivatives:
    """Compute the cost and its first and second derivatives at a pose.

    Args:
        problem: B problems.
        R: (B, 3, 3).
        t: (B, 3).

    Returns:
        The derivatives at ``(R, t)``.
    """
    maps = problem.focal @ torch.cat([t[..., None], R], dim=2)
    h = maps.to(problem.pixels) @ problem.products[:, :4]
    inverse_depth = 1 / h[:, 2:]
    pixel = h[:, :2] * inverse_depth
    error = pixel - problem.pixels
    cost = 0.5 * ((error * error).sum(1) * problem.weights).sum(1).double()
    gradient, hessian = _assemble(maps[..., 1:], _sums(problem, pixel, error, inverse_depth))
    factor, indefinite = torch.linalg.cholesky_ex(hessian)
    definite = indefinite == 0
    if not surely_all(definite):
        _, gauss_newton = _assemble(
            maps[..., 1:], _sums(problem, pixel, torch.zeros_like(error), inverse_depth))
        hessian = torch.where(definite[:, None, None], hessian, gauss_newton)
        factor = _damped_factor(hessian, torch.zeros_like(cost))
    return Derivatives(cost, gradient, hessian, factor, h[:, 2].amin(1).double())


def _sums(problem: PnPProblem, pixel: Tensor, error: Tensor, inverse_depth: Tensor) -> Tensor:
    """Sum the derivatives with respect to h times the products of ``x~``, (B, 7, 10).

    The three first derivatives come first, then the four distinct entries of the second ones.

    For one point the first are ``(e, -e.u) w / z``, the second
    ``[I, -u - e; ., u.u + 2 e.u] w / z^2``. Gauss-Newton leaves out the terms with the error e.
    """
    first = problem.weights[:, None] * inverse_depth
    scalars = pixel.new_empty(len(pixel), 7, pixel.shape[2])
    pull, second = scalars[:, :3], scalars[:, 3:4]
    torch.mul(error, first, out=pull[:, :2])
    torch.sum(pixel * pull[:, :2], dim=1, out=pull[:, 2]).neg_()
    torch.mul(first, inverse_depth, out=second)
    torch.mul(pixel + error, second, out=scalars[:, 4:6])
    corner = scalars[:, 6:]
    torch.sum(pixel * scalars[:, 4:6], dim=1, keepdim=True, out=corner)
    corner.addcmul_(pull[:, 2:], inverse_depth, value=-1)
    return (scalars @ problem.products.transpose(1, 2)).double()


def _assemble(FR: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Assemble the gradient (B, 6) and the Hessian (B, 6, 6) from the sums (B, 7, 10)."""
    tables = _tables(sums.device)
    force = (FR.transpose(1, 2) @ sums[:, :3, :4]).flatten(1)  # against x~, where x moves
    turn = FR.transpose(1, 2)
    curvature = turn @ (tables.entries @ sums[:, 3:]).view(-1, 3, 30)
    curvature = turn[:, None] @ curvature.view(-1, 3, 3, 10)  # (F R)' K (F R)
    hessian = torch.cat([curvature.flatten(1), force], dim=1) @ tables.hessian
    return force @ tables.gradient, hessian.unflatten(1, (6, 6))


class _Tables(NamedTuple):
    """Constant tables, float64.

    Attributes:
        place: (16,) int64, index in ``products`` of each product of two entries of ``x~``.
        entries: (9, 4), map from the four distinct second derivatives to their 3 x 3 matrix.
        gradient: (12, 6), map from the force, 3 x 4, to the gradient.
        hessian: (102, 36), map from the curvature, 3 x 3 x 10, and the force to the Hessian.
    """
    place: Tensor
    entries: Tensor
    gradient: Tensor
    hessian: Tensor


@lru_cache(None)
def _tables(device: torch.device) -> _Tables:
    place = torch.tensor([0, 1, 2, 3, 1, 4, 5, 6, 2, 5, 7, 8, 3, 6, 8, 9])
    unit, u, v, corner = torch.eye(4, dtype=torch.float64)
    zero = torch.zeros_like(unit)
    entries = torch.stack([unit, zero, -u, zero, unit, -v, -u, -v, corner])

    eye = torch.eye(3, dtype=torch.float64)
    motion = torch.zeros(6, 3, 4, dtype=torch.float64)  # of x, as a linear map of x~
    motion[:3, :, 1:] = skew(eye)
    motion[3:, :, 0] = eye
    products = torch.nn.functional.one_hot(place, 10).double().view(4, 4, 10)
    projection = torch.einsum('kim,ljn,mnq->ijqkl', motion, motion, products)
    turn = torch.zeros(3, 4, 6, 6, dtype=torch.float64)  # the exponential map's own curvature
    turn[:, 1:, :3, :3] = torch.einsum('ik,jl->ijkl', eye, eye)
    turn = (turn + turn.transpose(2, 3)) / 2
    turn[:, 1:, :3, :3] -= torch.einsum('ij,kl->ijkl', eye, eye)
    hessian = torch.cat([projection.reshape(90, 36), turn.reshape(12, 36)])
    return _Tables(*(table.to(device) for table in (
        place, entries, motion.flatten(1).T.contiguous(), hessian)))


def _damped_factor(hessian: Tensor, damping: Tensor) -> Tensor:
    """Return the Cholesky factor of the Hessian with its diagonal raised by ``damping`` (B,)."""
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    floor = 1e-13 * diagonal.amax(1, keepdim=True) + 1e-300
    raised = hessian + torch.diag_embed(damping[:, None] * diagonal + floor)
    return torch.linalg.cholesky_ex(raised)[0]


def _newton_step(at: Derivatives, factor: Tensor) -> Tensor:
    return -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0]


def minimise(problem: PnPProblem, R: Tensor, t: Tensor, iterations: int,
             tolerance: float = STEP_TOLERANCE,
             needed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Find the nearest minimum by Levenberg-Marquardt with the full Hessian.

    On a GPU the number of steps is fixed, because waiting for a result is slow. On a CPU the loop
    ends early once all steps are shorter than the tolerance.

    Args:
        problem: B problems.
        R: (B, 3, 3), initial rotation.
        t: (B, 3), initial translation.
        iterations: Number of steps.
        tolerance: Length of a step that needs no further one, in radians and extents.
        needed: (B,) bool, problems that must converge; all if None.

    Returns:
        R (B, 3, 3), t (B, 3), cost (B,), the factored Hessian (B, 6, 6), and which poses
        converged (B,).
    """
    at = derivatives(problem, R, t)
    in_front = at.nearest > MIN_DEPTH
    if not surely_all(in_front):  # visible points lie in front of the camera, also at the start
        push = torch.where(in_front, 0., 1 - at.nearest)
        t = torch.cat([t[:, :2], t[:, 2:] + push[:, None]], dim=1)
        at = derivatives(problem, R, t)
    damping = torch.zeros_like(at.cost)  # until a step fails
    factor = at.factor
    for _ in range(iterations):
        step = _newton_step(at, factor)
        short = step.abs().amax(1) < tolerance
        if surely_all(short if needed is None else short | ~needed):
            break
        R_new, t_new = move(R, t, step)
        new = derivatives(problem, R_new, t_new)
        accept = (new.nearest > MIN_DEPTH) & (new.cost <= at.cost * (1 + 1e-12))
        less, more = 0.01 * damping * (damping > 1e-4), 10 * damping.clamp(min=1e-5)
        damping = torch.where(accept, less, more)
        if surely_all(accept):
            R, t, at = R_new, t_new, new
        else:
            R = torch.where(accept[:, None, None], R_new, R)
            t = torch.where(accept[:, None], t_new, t)
            at = Derivatives(*(torch.where(accept.view(-1, *[1] * (old.dim() - 1)), fresh, old)
                               for fresh, old in zip(new, at)))
        factor = at.factor if surely_all(damping == 0) else _damped_factor(at.hessian, damping)
    # The last step is undamped. For a converged pose it is too short to need another evaluation.
    step = _newton_step(at, at.factor)
    converged = step.abs().amax(1) < 10 * tolerance
    step = torch.where(converged[:, None], step, torch.zeros_like(step))
    R, t = move(R, t, step)
    cost = (at.cost + 0.5 * (at.gradient * step).sum(1)).clamp(min=0)  # by the quadratic model
    return R, t, cost, at.factor, converged


def move(R: Tensor, t: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Move the pose (R, t) by a step (B, 6) in its local parameters.

    The rotation is Cayley's. It differs from the exponential map only in third order.
    """
    half = skew(0.5 * step[:, :3])
    scale = 2 / (1 + 0.25 * (step[:, :3]**2).sum(1))[:, None, None]
    turned = R @ half
    return R + scale * (turned + turned @ half), t + (R @ step[:, 3:, None])[..., 0]
