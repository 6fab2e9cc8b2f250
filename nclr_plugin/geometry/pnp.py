"""The differentiable PnP layer (Eq. 6): camera poses from weighted 3D-2D matches.

It finds the maximum-likelihood pose, which has the least weighted squared reprojection error
``sum_i w_i |project(R p_i + t) - u_i|^2``. It solves inputs of any floating type in float64,
outside autocast, and returns float64 poses. Only the start and the first steps sum over points in
float32.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..utils import devices
from ..utils.devices import surely_all
from .epnp import closed_form_pose
from .reprojection import SINGLE_STEPS, SINGLE_TOLERANCE, PnPProblem, make_problem, minimise
from .se3 import skew

MIN_POINTS = 6  # without a start; with fewer, EPnP's kernel has several dimensions
MIN_DISTINCT = 4  # for a pose near a given one
MIN_SPREAD = 1e-4  # of a principal axis over the first; with less, points form a line or a plane


class PnPSolution(NamedTuple):
    """Poses of a batch of problems, float64.

    Attributes:
        R: (B, 3, 3), LiDAR to camera.
        t: (B, 3), metres.
        valid: (B,) bool; where False, ``R`` is the identity, ``t`` zero, and no gradient flows.
        reprojection_error: (B,), weighted root mean square, pixels; zero where not valid.
    """
    R: Tensor
    t: Tensor
    valid: Tensor
    reprojection_error: Tensor


def solve_pnp(points: Tensor,
              pixels: Tensor,
              cam2img: Tensor,
              weights: Tensor | None = None,
              iterations: int = 20) -> PnPSolution:
    """Find maximum-likelihood poses: EPnP, then damped Newton steps (paper, Eq. 6).

    Gradients with respect to all four arguments are exact to first order: by the implicit
    function theorem at the minimum, not through the iterations.

    A sample is not valid if it has fewer than ``MIN_POINTS`` points of positive weight, fewer than
    ``MIN_DISTINCT`` different ones, points on a line, pixels that all coincide, or a value that is
    not finite among the points used, or if it does not converge. On a GPU, masks replace branches:
    only the decomposition of the covariance makes the CPU wait.

    Args:
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2), (u, v).
        cam2img: (B, 3, 3), upper triangular with last row (0, 0, 1).
        weights: (B, N), non-negative. A point of zero weight counts as absent: its values do not
            matter, and it receives no gradient. All weights are one if None.
        iterations: Number of float64 refinement steps; on a CPU, their maximum.

    Returns:
        The poses.

    Raises:
        ValueError: If the shapes do not fit, or, on a CPU, a last row of ``cam2img`` is not
            (0, 0, 1). On a GPU, such a sample is not valid.
    """
    return _solve(points, pixels, cam2img, weights, None, iterations)


def refine_pose(R: Tensor,
                t: Tensor,
                points: Tensor,
                pixels: Tensor,
                cam2img: Tensor,
                weights: Tensor | None = None,
                iterations: int = 20) -> PnPSolution:
    """Find the minimum of the reprojection error nearest to a given pose.

    It works like :func:`solve_pnp` and has the same gradients, but it needs only ``MIN_DISTINCT``
    points. No gradient flows to the given pose.

    Args:
        R: (B, 3, 3), initial rotation.
        t: (B, 3), initial translation, metres.
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2).
        cam2img: (B, 3, 3).
        weights: (B, N), non-negative.
        iterations: Number of float64 steps; on a CPU, their maximum.

    Returns:
        The poses.

    Raises:
        ValueError: If the shapes do not fit.
    """
    return _solve(points, pixels, cam2img, weights, (R, t), iterations)


def _solve(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor | None,
           start: tuple[Tensor, Tensor] | None, iterations: int) -> PnPSolution:
    batch, count = points.shape[:2]
    if weights is None:
        weights = points.new_ones(batch, count)
    for name, value, expected in (('points', points, (batch, count, 3)),
                                  ('pixels', pixels, (batch, count, 2)),
                                  ('cam2img', cam2img, (batch, 3, 3)),
                                  ('weights', weights, (batch, count))):
        if value.shape != expected:
            raise ValueError(f'{name}: expected shape {expected}, found {tuple(value.shape)}')
    if not count:  # one absent point, so that there is a least depth
        points, pixels, weights = (
            value.new_zeros(batch, 1, *value.shape[2:]) for value in (points, pixels, weights))
    affine = _affine(cam2img) | cam2img.isnan().flatten(1).any(1)
    if devices.on_host(cam2img) and not affine.all():
        raise ValueError('cam2img: expected a last row (0, 0, 1), found '
                         f'{cam2img[:, 2].tolist()}; divide the matrix by its last entry')

    with torch.autocast(points.device.type, enabled=False):
        args = [value.double() for value in (points, pixels, cam2img, weights)]
        with torch.no_grad():
            normalised, used = normalise(*args)
            valid = ~refuse(normalised, args[2], used,
                            MIN_POINTS if start is None else MIN_DISTINCT)
            normalised = normalised.only(valid)
            problem = normalised.problem
            pose = _start(normalised) if start is None else _transfer(normalised, *start)
            pose, cost, factor, converged = minimise(problem, pose, iterations, needed=valid)
            valid = valid & converged
            minimum = _Minimum(problem.products[:, :4], problem.pixels, problem.focal,
                               problem.weights, normalised.total, pose, normalised.centre,
                               normalised.extent, factor, valid)
            R, t = denormalise(normalised, pose)
            R = torch.where(valid[:, None, None], R, torch.eye(3, dtype=R.dtype, device=R.device))
            t = torch.where(valid[:, None], t, 0.)
            error = torch.where(valid, 2 * cost, 0.).sqrt()
        if torch.is_grad_enabled() and any(value.requires_grad for value in args):
            R, t = _ImplicitPose.apply(*args, R, t, *minimum)
    return PnPSolution(R, t, valid, error)


class Normalised(NamedTuple):
    """B problems relative to the weighted centroid of their points, in units of their extent.

    Attributes:
        problem: The problems.
        centre: (B, 3), the centroid.
        extent: (B,), the unit of length: root mean square distance from the centroid.
        axes: (B, 3, 3), principal axes in columns, longest first, right-handed.
        deviations: (B, 3), standard deviations along the axes, in extents.
        total: (B,), the sum of the given weights.
    """
    problem: PnPProblem
    centre: Tensor
    extent: Tensor
    axes: Tensor
    deviations: Tensor
    total: Tensor

    def only(self, kept: Tensor) -> Normalised:
        """Replace the problems that are not kept, a (B,) mask, by finite numbers."""
        if surely_all(kept):
            return self

        def where(value: Tensor, other: Any) -> Tensor:
            return torch.where(kept.view(-1, *[1] * (value.dim() - 1)), value, other)

        eye = torch.eye(3, dtype=self.axes.dtype, device=self.axes.device)
        problem = PnPProblem(where(self.problem.products, 0.), where(self.problem.pixels, 0.),
                             where(self.problem.focal, eye), where(self.problem.weights, 0.))
        return Normalised(problem, where(self.centre, 0.), where(self.extent, 1.),
                          where(self.axes, eye), where(self.deviations, 1.),
                          where(self.total, 1.))


def normalise(points: Tensor, pixels: Tensor, cam2img: Tensor,
              weights: Tensor) -> tuple[Normalised, Tensor]:
    """Move the centroid to the origin and scale to unit extent; drop the principal point.

    Args:
        points: (B, N, 3) float64, like the others.
        pixels: (B, N, 2).
        cam2img: (B, 3, 3).
        weights: (B, N); points of weight zero are moved to the centroid.

    Returns:
        The problems, with NaN or infinity in those that :func:`refuse` refuses, and the mask of
        points used (B, N) bool. A NaN weight counts as used, so its problem is refused, too.
    """
    used = ~(weights <= 0)
    points = points.transpose(1, 2).contiguous()
    pixels = pixels.transpose(1, 2) - cam2img[:, :2, 2:]
    all_used = surely_all(used)
    if not all_used:
        points, pixels = (torch.where(used[:, None], value, 0.) for value in (points, pixels))
        weights = torch.where(used, weights, 0.)
    total = weights.sum(1)
    weights = weights / total[:, None].clamp(min=1e-300)
    centre = (points * weights[:, None]).sum(2, keepdim=True)
    points = points - centre
    if not all_used:
        points = torch.where(used[:, None], points, 0.)
    covariance = (points * weights[:, None]) @ points.transpose(1, 2)
    finite = covariance.isfinite().flatten(1).all(1)[:, None, None]
    variances, axes = torch.linalg.eigh(torch.where(
        finite, covariance, torch.eye(3, dtype=points.dtype, device=points.device)))
    axes = axes.flip(-1)
    axes = torch.cat([axes[..., :2], torch.linalg.cross(axes[..., :1], axes[..., 1:2], dim=1)], 2)
    deviations = torch.where(finite[:, 0], variances.clamp(min=0).sqrt().flip(-1), torch.nan)
    extent = deviations.norm(dim=1)
    problem = make_problem(points / extent[:, None, None], pixels, cam2img, weights)
    return Normalised(problem, centre[..., 0], extent, axes, deviations / extent[:, None],
                      total), used


def refuse(normalised: Normalised, cam2img: Tensor, used: Tensor, min_points: int) -> Tensor:
    """Return which problems determine no pose (B,) bool; see :func:`solve_pnp`.

    Args:
        normalised: B problems.
        cam2img: (B, 3, 3), their intrinsics as given.
        used: (B, N) bool, mask of the points used.
        min_points: Problems that use fewer points are refused.
    """
    problem, deviations = normalised.problem, normalised.deviations
    valid = (deviations[:, 1] > MIN_SPREAD * deviations[:, 0])  # False for NaN, as all below
    valid &= used.sum(1) >= min_points
    valid &= normalised.extent > 1e-9 * normalised.centre.norm(dim=1)
    valid &= cam2img.isfinite().flatten(1).all(1) & _affine(cam2img)
    valid &= cam2img[:, 0, 0] * cam2img[:, 1, 1] != 0
    valid &= _pixels_differ(problem.pixels, problem.weights)
    planar = deviations[:, 2] < MIN_SPREAD * deviations[:, 0]
    if not surely_all(~planar):  # points that span a space are four or more
        points = problem.products[:, 1:4]
        enough = ~planar | _first_differ(points, used)
        if not surely_all(enough):
            enough |= _count_distinct(points, used) >= MIN_DISTINCT
        valid &= enough
    return ~valid


def denormalise(normalised: Normalised, pose: Tensor) -> tuple[Tensor, Tensor]:
    """Convert poses (B, 3, 4) of normalised problems to poses (R, t) of the given points."""
    t, R = pose[..., 0], pose[..., 1:]
    return R, t * normalised.extent[:, None] - (R @ normalised.centre[..., None])[..., 0]


def _transfer(normalised: Normalised, R: Tensor, t: Tensor) -> Tensor:
    """Convert poses (R, t) of the given points to poses (B, 3, 4) of the normalised problems."""
    R, t = R.double(), t.double()[..., None]
    t = (t + R @ normalised.centre[..., None]) / normalised.extent[:, None, None]
    return torch.cat([t, R], dim=2)


def _start(normalised: Normalised) -> Tensor:
    """Run EPnP and the first Newton steps, which sum over points in float32."""
    single = normalised.problem.single()
    pose = closed_form_pose(single, normalised.axes, normalised.deviations)
    return minimise(single, pose, SINGLE_STEPS, SINGLE_TOLERANCE)[0]


class _Minimum(NamedTuple):
    """B solved problems in normalised units, linearised for the backward pass.

    Attributes:
        points: (B, 4, N), (1, x), relative to their centre, in units of their extent.
        pixels: (B, 2, N), relative to the principal point.
        focal: (B, 3, 3), cam2img without its principal point.
        weights: (B, N), summing to one.
        total: (B,), the sum of the given weights.
        pose: (B, 3, 4), t and R from these points to the camera.
        centre: (B, 3), the point about which the pose rotates.
        extent: (B,), the unit of length.
        factor: (B, 6, 6), the factored Hessian.
        valid: (B,) bool; the others have no gradient.
    """
    points: Tensor
    pixels: Tensor
    focal: Tensor
    weights: Tensor
    total: Tensor
    pose: Tensor
    centre: Tensor
    extent: Tensor
    factor: Tensor
    valid: Tensor


def _affine(cam2img: Tensor) -> Tensor:
    """Return whether the last row of intrinsics (B, 3, 3) is (0, 0, 1), (B,)."""
    last = torch.eye(3, device=cam2img.device)[2]
    return (cam2img[:, 2].detach() - last).abs().amax(1) <= 1e-6


def _pixels_differ(pixels: Tensor, weights: Tensor) -> Tensor:
    """Return whether the pixels of positive weight are finite and not all the same, (B,)."""
    weighted = pixels * weights[:, None]
    mean, square = weighted.sum(2), (weighted * pixels).sum(2)
    variance = (square - mean * mean).sum(1)
    return variance > 1e-12 * (1 + square.sum(1))  # False for NaN


def _first_differ(points: Tensor, used: Tensor) -> Tensor:
    """Return whether the first ``MIN_DISTINCT`` of points (B, 3, N) are used and differ, (B,)."""
    first = points[..., :MIN_DISTINCT]
    offset = first[..., None] - first[..., None, :]
    i, j = torch.triu_indices(first.shape[2], first.shape[2], 1, device=points.device)
    distance = (offset * offset).sum(1)[:, i, j]
    return (used[:, :MIN_DISTINCT].sum(1) >= MIN_DISTINCT) & (distance > 1e-18).all(1)


def _count_distinct(points: Tensor, used: Tensor) -> Tensor:
    """Count the distinct points among those used (B, 3, N), up to ``MIN_DISTINCT``.

    Each round takes the point farthest from those taken before.
    """
    row = torch.arange(len(points), device=points.device)
    distance = torch.where(used, (points * points).sum(1), -torch.inf)
    tolerance = 1e-18 * distance.amax(1)
    count = torch.zeros_like(row)
    distance = torch.where(used, torch.inf, -torch.inf).to(points)
    for _ in range(MIN_DISTINCT):
        farthest, index = distance.max(1)
        count += farthest > tolerance
        offset = points - points[row, :, index][..., None]
        distance = torch.minimum(distance, (offset * offset).sum(1))
    return count


class _ImplicitPose(torch.autograd.Function):
    """The minimum as a function of the problem, differentiated by the implicit function theorem.

    At the minimum the cost's gradient g with respect to the pose's parameters vanishes, so a
    change of the inputs moves the pose by ``-H^-1 dg``. For a pose gradient G, the inputs'
    gradient is that of ``lambda . g`` with ``lambda = -H^-1 G``: the derivative of the cost
    ``sum w e.e / 2`` along one motion of the pose, ``sum w e.m`` with the pixels' motions m.
    """

    @staticmethod
    def forward(ctx, points, pixels, cam2img, weights, R, t, *minimum):
        ctx.save_for_backward(*minimum)
        return R.clone(), t.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_R, grad_t):
        (points, pixels, focal, weights, total, pose, centre, extent, factor,
         valid) = ctx.saved_tensors
        R = pose[..., 1:]
        # t = extent * t' - R centre, in the parameters of the normalised pose R, t'.
        grad_R = grad_R - grad_t[..., None] * centre[:, None]
        grads = R.transpose(1, 2) @ torch.cat([(grad_t * extent[:, None])[..., None], grad_R], 2)
        turn = grads[..., 1:] - grads[..., 1:].transpose(1, 2)
        grad_pose = torch.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0],
                                 *grads[..., 0].unbind(1)], dim=1)
        motion = -torch.cholesky_solve(grad_pose[..., None], factor)
        poses = torch.stack([pose, R @ torch.cat([motion[:, 3:], skew(motion[:, :3, 0])], dim=2)],
                            dim=1)
        maps = (focal[:, None] @ poses).flatten(1, 2)  # from points to h and its motion

        h = maps @ points
        inverse_depth = h[:, 2:3].reciprocal()
        pixel, approach = h[:, :2] * inverse_depth, h[:, 5:] * inverse_depth
        flow = (h[:, 3:5] - pixel * h[:, 5:]) * inverse_depth
        error = pixel - pixels
        product = (error * flow).sum(1, keepdim=True)
        scale = weights[:, None] * inverse_depth
        grad_h = h.new_empty(len(h), 2, 3, h.shape[2])  # of h and of its motion
        torch.mul(flow - error * approach, scale, out=grad_h[:, 0, :2])
        torch.mul(error, scale, out=grad_h[:, 1, :2])
        torch.sum(pixel[:, None] * grad_h[:, :, :2], 2, out=grad_h[:, :, 2]).neg_()
        grad_h[:, 0, 2:].addcmul_(product, scale, value=-1)
        grad_h = grad_h.flatten(1, 2)

        grad_points = (maps[..., 1:] / extent[:, None, None]).transpose(1, 2) @ grad_h
        grad_pixels = -weights[:, None] * flow
        grad_cam2img = torch.zeros_like(focal)  # the last row is no parameter
        sums = (grad_h @ points.transpose(1, 2)).unflatten(1, (2, 3))
        grad_cam2img[:, :2] = (sums @ poses.transpose(2, 3)).sum(1)[:, :2]
        grad_cam2img[:, :2, 2] = -grad_pixels.sum(2)
        grad_weights = torch.where(weights > 0, product[:, 0], 0.) / total[:, None]
        grads = (grad_points.transpose(1, 2), grad_pixels.transpose(1, 2), grad_cam2img,
                 grad_weights)
        if not surely_all(valid):
            grads = [torch.where(valid.view(-1, *[1] * (grad.dim() - 1)), grad, 0.)
                     for grad in grads]
        return (*grads, *[None] * 12)
