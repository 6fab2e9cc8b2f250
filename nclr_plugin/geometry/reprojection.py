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
from torch.nn import functional as F

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


def derivatives(problem: PnPProblem, pose: Tensor) -> Derivatives:
    """Compute the cost and its first and second derivatives at a pose.

    Args:
        problem: B problems.
        pose: (B, 3, 4), ``(t, R)``.

    Returns:
        The derivatives at the pose.
    """
    maps = problem.focal @ pose
    h = maps.to(problem.pixels) @ problem.products[:, :4]
    inverse_depth = h[:, 2:].reciprocal()
    pixel = h[:, :2] * inverse_depth
    error = pixel - problem.pixels
    cost = 0.5 * (error * error * problem.weights[:, None]).sum((1, 2)).double()
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
    entries = F.pad(FR.flatten(1), (1, 0), value=1.)
    turn = (entries[:, :, None] * entries[:, None]).flatten(1) @ tables.turn
    turned = (turn.unflatten(1, (9, 7)) @ sums).flatten(1)
    gradient, hessian = (turned @ tables.derivatives).split((6, 36), dim=1)
    return gradient, hessian.unflatten(1, (6, 6))


class _Tables(NamedTuple):
    """Constant tables, float64.

    Attributes:
        place: (16,) int64, index in ``products`` of each product of two entries of ``x~``.
        motion: (6, 12), map from a pose's step to the linear map of ``x~``, 3 x 4, that moves x.
        turn: (100, 63), map from the products of two entries of ``(1, F R)`` to the 9 x 7 matrix
            that turns the first derivatives f into (F R)' f, and the four distinct second ones K
            into the upper triangle of (F R)' K (F R).
        derivatives: (90, 42), map from the turned sums, 9 x 10, to the gradient and the Hessian.
    """
    place: Tensor
    motion: Tensor
    turn: Tensor
    derivatives: Tensor


@lru_cache(None)
def _tables(device: torch.device) -> _Tables:
    place = torch.tensor([0, 1, 2, 3, 1, 4, 5, 6, 2, 5, 7, 8, 3, 6, 8, 9])
    unit, u, v, corner = torch.eye(4, dtype=torch.float64)
    zero = torch.zeros_like(unit)
    second = torch.stack([unit, zero, -u, zero, unit, -v, -u, -v, corner]).view(3, 3, 4)
    eye = torch.eye(3, dtype=torch.float64)
    i, j = torch.triu_indices(3, 3)
    turn = torch.zeros(10, 10, 9, 7, dtype=torch.float64)
    turn[1:, 0, :3, :3] = torch.einsum('kl,ij->kijl', eye, eye).reshape(9, 3, 3)
    turn[1:, 1:, 3:, 3:] = torch.einsum('klm,pi,pj->kiljpm', second, eye[i], eye[j]).reshape(
        9, 9, 6, 4)

    motion = torch.zeros(6, 3, 4, dtype=torch.float64)
    motion[:3, :, 1:] = skew(eye)
    motion[3:, :, 0] = eye
    products = F.one_hot(place, 10).double().view(4, 4, 10)
    projection = torch.einsum('kim,ljn,mnq->ijqkl', motion, motion, products).reshape(9, 10, 36)
    bend = torch.zeros(3, 10, 6, 6, dtype=torch.float64)  # the exponential map's own curvature
    bend[:, 1:4, :3, :3] = torch.einsum('ik,jl->ijkl', eye, eye)
    bend = (bend + bend.transpose(2, 3)) / 2
    bend[:, 1:4, :3, :3] -= torch.einsum('ij,kl->ijkl', eye, eye)
    gradient = F.pad(motion.flatten(1).T.view(3, 4, 6), (0, 0, 0, 6, 0, 6))
    hessian = torch.cat([bend.flatten(2), torch.where(
        (i == j)[:, None, None], projection[3 * i + j],
        projection[3 * i + j] + projection[3 * j + i])])
    return _Tables(*(table.to(device) for table in (
        place, motion.flatten(1), turn.view(100, 63),
        torch.cat([gradient, hessian], dim=2).view(90, 42))))


def _damped_factor(hessian: Tensor, damping: Tensor) -> Tensor:
    """Return the Cholesky factor of the Hessian with its diagonal raised by ``damping`` (B,)."""
    diagonal = hessian.diagonal(dim1=1, dim2=2)
    floor = 1e-13 * diagonal.amax(1, keepdim=True) + 1e-300
    raised = hessian + torch.diag_embed(damping[:, None] * diagonal + floor)
    return torch.linalg.cholesky_ex(raised)[0]


def _newton_step(at: Derivatives, factor: Tensor) -> Tensor:
    return -torch.cholesky_solve(at.gradient[..., None], factor)[..., 0]


def minimise(problem: PnPProblem, pose: Tensor, iterations: int,
             tolerance: float = STEP_TOLERANCE,
             needed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Find the nearest minimum by Levenberg-Marquardt with the full Hessian.

    On a GPU the number of steps is fixed, because waiting for a result is slow. On a CPU the loop
    ends early once all steps are shorter than the tolerance.

    Args:
        problem: B problems.
        pose: (B, 3, 4), the initial ``(t, R)``.
        iterations: Number of steps.
        tolerance: Length of a step that needs no further one, in radians and extents.
        needed: (B,) bool, problems that must converge; all if None.

    Returns:
        Poses (B, 3, 4), cost (B,), the factored Hessian (B, 6, 6), and which poses converged (B,).
    """
    at = derivatives(problem, pose)
    in_front = at.nearest > MIN_DEPTH
    if not surely_all(in_front):  # visible points lie in front of the camera, also at the start
        pose = pose.clone()
        pose[:, 2, 0] += torch.where(in_front, 0., 1 - at.nearest)
        at = derivatives(problem, pose)
    return _descend(problem, pose, at, torch.zeros_like(at.cost), iterations, tolerance, needed)


def _descend(problem: PnPProblem, pose: Tensor, at: Derivatives, damping: Tensor, iterations: int,
             tolerance: float, needed: Tensor | None) -> tuple[Tensor, ...]:
    """Step from poses with known derivatives; on a CPU, the few that need more go on alone."""
    rest = None
    for done in range(iterations):
        undamped = surely_all(damping == 0)
        step = _newton_step(at, at.factor if undamped else _damped_factor(at.hessian, damping))
        settled = step.abs().amax(1) < tolerance
        if not undamped:
            settled &= damping == 0
        if needed is not None:
            settled |= ~needed
        if surely_all(settled):
            break
        rest = _minority(~settled)
        if rest is not None:
            solved = _descend(problem.take(rest), pose[rest],
                              Derivatives(*(value[rest] for value in at)), damping[rest],
                              iterations - done, tolerance, None)
            break
        moved = move(pose, step)
        new = derivatives(problem, moved)
        accept = (new.nearest > MIN_DEPTH) & (new.cost <= at.cost * (1 + 1e-12))
        if surely_all(accept):
            pose, at = moved, new
        else:
            pose = torch.where(accept[:, None, None], moved, pose)
            at = Derivatives(*(torch.where(accept.view(-1, *[1] * (old.dim() - 1)), fresh, old)
                               for fresh, old in zip(new, at)))
            undamped = False
        if not undamped:
            damping = torch.where(accept, 0.01 * damping * (damping > 1e-4),
                                  10 * damping.clamp(min=1e-5))
    else:
        undamped = False
    # The last step is undamped. For a converged pose it is too short to need another evaluation.
    if not undamped:
        step = _newton_step(at, at.factor)
    converged = step.abs().amax(1) < 10 * tolerance
    step = torch.where(converged[:, None], step, 0.)
    cost = (at.cost + 0.5 * (at.gradient * step).sum(1)).clamp(min=0)  # by the quadratic model
    result = move(pose, step), cost, at.factor, converged
    if rest is None:
        return result
    return tuple(whole.index_copy(0, rest, part) for whole, part in zip(result, solved))


def _minority(mask: Tensor) -> Tensor | None:
    """Return the indices of the masked problems; ``None`` if they are not few, and on a GPU."""
    if not devices.on_host(mask) or 2 * int(mask.sum()) >= len(mask):
        return None
    return mask.nonzero()[:, 0]


def move(pose: Tensor, step: Tensor) -> Tensor:
    """Move poses (B, 3, 4), ``(t, R)``, by steps (B, 6) in their local parameters.

    The rotation is Cayley's. It differs from the exponential map only in third order.
    """
    motion = (step @ _tables(step.device).motion).unflatten(1, (3, 4))
    moved = pose[..., 1:] @ motion
    turned = moved[..., 1:]
    scale = 1 / (1 + 0.25 * step[:, :3].square().sum(1))
    turned = (turned + 0.5 * turned @ motion[..., 1:]) * scale[:, None, None]
    return pose + torch.cat([moved[..., :1], turned], dim=2)
