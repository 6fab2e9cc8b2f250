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

from ..utils import devices
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

    def take(self, idx: Tensor) -> PnPProblem:
        """Return some of the problems."""
        return PnPProblem(*(value[idx] for value in self))

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
    products = points.new_empty(len(points), 10, points.shape[2])
    products[:, 0] = 1
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
    u, v = pixel.unbind(1)
    torch.mul(error, first, out=scalars[:, :2])
    pull = torch.mul(u, scalars[:, 0], out=scalars[:, 2])
    pull.addcmul_(v, scalars[:, 1]).neg_()
    torch.mul(first, inverse_depth, out=scalars[:, 3:4])
    torch.mul(pixel + error, scalars[:, 3:4], out=scalars[:, 4:6])
    corner = torch.mul(u, scalars[:, 4], out=scalars[:, 6])
    corner.addcmul_(v, scalars[:, 5]).addcmul_(pull, inverse_depth[:, 0], value=-1)
    return (scalars @ problem.products.transpose(1, 2)).double()


def _assemble(FR: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """Assemble the gradient (B, 6) and the Hessian (B, 6, 6) from the sums (B, 7, 10)."""
    tables = _tables(sums.device)
    force = (FR.transpose(1, 2) @ sums[:, :3, :4]).flatten(1)  # against x~, where x moves
    entries = FR.flatten(1)
    turn = (entries[:, :, None] * entries[:, None]).flatten(1) @ tables.entries
    curvature = (turn.unflatten(1, (6, 4)) @ sums[:, 3:]).flatten(1)  # (F R)' K (F R)
    hessian = torch.cat([curvature, force], dim=1) @ tables.hessian
    return force @ tables.gradient, hessian.unflatten(1, (6, 6))


class _Tables(NamedTuple):
    """Constant tables, float64.

    Attributes:
        place: (16,) int64, index in ``products`` of each product of two entries of ``x~``.
        entries: (81, 24), map from the products of two entries of ``F R`` to the 6 x 4 matrix that
            turns the four distinct second derivatives K into the upper triangle of (F R)' K (F R).
        gradient: (12, 6), map from the force, 3 x 4, to the gradient.
        hessian: (72, 36), map from the curvature, 6 x 10, and the force to the Hessian.
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
    second = torch.stack([unit, zero, -u, zero, unit, -v, -u, -v, corner]).view(3, 3, 4)
    eye = torch.eye(3, dtype=torch.float64)
    i, j = torch.triu_indices(3, 3)
    entries = torch.einsum('klm,pi,pj->kiljpm', second, eye[i], eye[j]).reshape(81, 24)

    motion = torch.zeros(6, 3, 4, dtype=torch.float64)  # of x, as a linear map of x~
    motion[:3, :, 1:] = skew(eye)
    motion[3:, :, 0] = eye
    products = torch.nn.functional.one_hot(place, 10).double().view(4, 4, 10)
    projection = torch.einsum('kim,ljn,mnq->ijqkl', motion, motion, products).reshape(9, 10, 36)
    turn = torch.zeros(3, 4, 6, 6, dtype=torch.float64)  # the exponential map's own curvature
    turn[:, 1:, :3, :3] = torch.einsum('ik,jl->ijkl', eye, eye)
    turn = (turn + turn.transpose(2, 3)) / 2
    turn[:, 1:, :3, :3] -= torch.einsum('ij,kl->ijkl', eye, eye)
    projection = torch.where((i == j)[:, None, None], projection[3 * i + j],
                             projection[3 * i + j] + projection[3 * j + i])
    hessian = torch.cat([projection.reshape(60, 36), turn.reshape(12, 36)])
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
    return _descend(problem, R, t, at, torch.zeros_like(at.cost), iterations, tolerance, needed)


def _descend(problem: PnPProblem, R: Tensor, t: Tensor, at: Derivatives, damping: Tensor,
             iterations: int, tolerance: float, needed: Tensor | None) -> tuple[Tensor, ...]:
    """Step from poses with known derivatives; on a CPU, the few that need more go on alone."""
    rest = None
    for done in range(iterations):
        factor = at.factor if surely_all(damping == 0) else _damped_factor(at.hessian, damping)
        step = _newton_step(at, factor)
        short = step.abs().amax(1) < tolerance
        unneeded = torch.zeros_like(short) if needed is None else ~needed
        if surely_all(short | unneeded):
            break
        rest = _minority(~((short & (damping == 0)) | unneeded))
        if rest is not None:
            solved = _descend(
                problem.take(rest), R[rest], t[rest],
                Derivatives(*(value[rest] for value in at)), damping[rest], iterations - done,
                tolerance, None)
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
    # The last step is undamped. For a converged pose it is too short to need another evaluation.
    step = _newton_step(at, at.factor)
    converged = step.abs().amax(1) < 10 * tolerance
    step = torch.where(converged[:, None], step, torch.zeros_like(step))
    R, t = move(R, t, step)
    cost = (at.cost + 0.5 * (at.gradient * step).sum(1)).clamp(min=0)  # by the quadratic model
    result = R, t, cost, at.factor, converged
    if rest is None:
        return result
    return tuple(whole.index_copy(0, rest, part) for whole, part in zip(result, solved))


def _minority(mask: Tensor) -> Tensor | None:
    """Return the indices of the masked problems; ``None`` if they are not few, and on a GPU."""
    if not devices.on_host(mask) or 2 * int(mask.sum()) >= len(mask):
        return None
    return mask.nonzero()[:, 0]


def move(R: Tensor, t: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Move the pose (R, t) by a step (B, 6) in its local parameters.

    The rotation is Cayley's. It differs from the exponential map only in third order.
    """
    half = skew(0.5 * step[:, :3])
    scale = 2 / (1 + 0.25 * (step[:, :3]**2).sum(1))[:, None, None]
    turned = R @ half
    return R + scale * (turned + turned @ half), t + (R @ step[:, 3:, None])[..., 0]
