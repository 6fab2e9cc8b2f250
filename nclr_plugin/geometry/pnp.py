"""The differentiable PnP layer (Eq. 6): camera poses from weighted 3D-2D matches.

It finds the maximum-likelihood pose, which has the least weighted squared reprojection error
``sum_i w_i |project(R p_i + t) - u_i|^2``. Inputs of any floating type are solved in float64,
outside autocast, and poses are returned in float64; only the start and the first steps sum over
points in float32.
"""
from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .epnp import closed_form_pose
from .reprojection import SINGLE_STEPS, SINGLE_TOLERANCE, make_problem, minimise
from .se3 import skew

MIN_POINTS = 4
MIN_SPREAD = 1e-4  # of a principal axis over the first: with less, points are a line or a plane


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
               weights: Optional[Tensor] = None,
               iterations: int = 20) -> PnPSolution:
    """Find maximum-likelihood poses: EPnP, then damped Newton steps (paper, Eq. 6).

    Gradients with respect to all four arguments are exact to first order: by the implicit
    function theorem at the minimum, not through the iterations.

    A sample is not valid if it has fewer than ``MIN_POINTS`` distinct points of positive weight,
    points on a line, pixels that all coincide, or a value that is not finite among the points
    used; nor is one that does not converge.

    Args:
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2), (u, v).
        cam2img: (B, 3, 3), upper triangular with last row (0, 0, 1).
        weights: (B, N), non-negative; a zero weight is an absent point, whose values do not
            matter and which receives no gradient. One each if None.
        iterations: Largest number of float64 steps of the refinement.

    Returns:
        The poses.

    Raises:
        ValueError: If the shapes do not fit.
    """
    return _solve(points, pixels, cam2img, weights, None, iterations)


def refine_pose(R: Tensor,
                t: Tensor,
                points: Tensor,
                pixels: Tensor,
                cam2img: Tensor,
                weights: Optional[Tensor] = None,
                iterations: int = 20) -> PnPSolution:
    """Find the minimum of the reprojection error nearest to a given pose.

    Like :func:`solve_pnp`, with its gradients, but from a given start, to which no gradient flows.

    Args:
        R: (B, 3, 3), where to start.
        t: (B, 3), metres.
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2).
        cam2img: (B, 3, 3).
        weights: (B, N), non-negative.
        iterations: Largest number of float64 steps.

    Returns:
        The poses.

    Raises:
        ValueError: If the shapes do not fit.
    """
    return _solve(points, pixels, cam2img, weights, (R, t), iterations)


def _solve(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Optional[Tensor],
           start: Optional[Tuple[Tensor, Tensor]], iterations: int) -> PnPSolution:
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
    last_row = cam2img[:, 2].detach().double()
    if (last_row - last_row.new_tensor([0., 0., 1.])).abs().gt(1e-6).any():
        raise ValueError(f'cam2img: expected a last row (0, 0, 1), found {last_row.tolist()}; '
                         'divide the matrix by its last entry')

    with torch.autocast(points.device.type, enabled=False):
        args = [value.double() for value in (points, pixels, cam2img, weights)]
        R, t, valid, error, keep, minimum = _minimum(*args, start, iterations)
        if torch.is_grad_enabled() and any(value.requires_grad for value in args):
            if len(keep) == batch:
                R, t = _ImplicitPose.apply(*args, R, t, *minimum)
            else:
                R_kept, t_kept = _ImplicitPose.apply(*(value[keep] for value in args), R[keep],
                                                     t[keep], *minimum)
                R, t = R.index_put((keep,), R_kept), t.index_put((keep,), t_kept)
    return PnPSolution(R, t, valid, error)


class _Minimum(NamedTuple):
    """K solved problems in normalised units, linearised for the backward pass.

    Attributes:
        points: (K, 4, N), (1, x): about their centre, in units of their extent.
        pixels: (K, 2, N), from the principal point.
        focal: (K, 3, 3), cam2img without its principal point.
        weights: (K, N), of sum one.
        total: (K,), the sum of the weights given.
        pose: (K, 3, 4), t and R between these points and the camera.
        centre: (K, 3), about which the pose turns.
        extent: (K,), the unit of length.
        factor: (K, 6, 6), the factored Hessian.
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


@torch.no_grad()
def _minimum(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor,
             start: Optional[Tuple[Tensor, Tensor]],
             iterations: int) -> Tuple[Tensor, Tensor, Tensor, Tensor, Tensor, _Minimum]:
    """Solve all problems without gradients.

    Returns:
        R (B, 3, 3), t (B, 3), validity (B,), errors (B,), the indices of the K valid
        samples (K,), and their minima.
    """
    used = ~(weights <= 0)  # NaN counts as used, and refuses the sample as other NaN do
    absent = None if used.all() else ~used[:, None]
    points, pixels = points.transpose(1, 2).contiguous(), pixels.transpose(1, 2).contiguous()
    if absent is not None:
        points, pixels = points.masked_fill(absent, 0), pixels.masked_fill(absent, 0)
        weights = weights.masked_fill(absent[:, 0], 0)
    total = weights.sum(1)
    weights = weights / total[:, None].clamp(min=1e-300)
    pixels = pixels - cam2img[:, :2, 2:]
    centre = points @ weights[..., None]
    points = points - centre
    if absent is not None:
        points = points.masked_fill(absent, 0)
    centre = centre[..., 0]
    covariance = (points * weights[:, None]) @ points.transpose(1, 2)
    valid = (covariance.isfinite().flatten(1).all(1) & cam2img.isfinite().flatten(1).all(1)
             & (cam2img[:, 0, 0] * cam2img[:, 1, 1] != 0)
             & _pixels_differ(pixels, weights))
    covariance[~valid] = torch.eye(3, dtype=covariance.dtype, device=covariance.device)
    variances, axes = torch.linalg.eigh(covariance)
    deviations = variances.clamp(min=0).sqrt().flip(-1)
    extent = deviations.norm(dim=1)
    valid &= deviations[:, 1] > MIN_SPREAD * deviations[:, 0]
    valid &= extent > 1e-9 * centre.norm(dim=1)
    planar = (valid & (deviations[:, 2] < MIN_SPREAD * deviations[:, 0])).nonzero()[:, 0]
    for some in (slice(16), slice(None)):  # points that span a space are four or more
        if len(planar):
            count = _count_distinct(points[..., some][planar], used[:, some][planar])
            planar = planar[count < MIN_POINTS]
    valid[planar] = False

    R = torch.eye(3, dtype=points.dtype, device=points.device).repeat(len(points), 1, 1)
    t, error = R.new_zeros(len(R), 3), R.new_zeros(len(R))
    keep = valid.nonzero()[:, 0]
    if len(keep) < len(points):
        points, pixels, cam2img, weights, total, centre, extent, axes, deviations = (
            value[keep] for value in (points, pixels, cam2img, weights, total, centre, extent,
                                      axes, deviations))
    problem = make_problem(points / extent[:, None, None], pixels, cam2img, weights)
    if start is None:
        single = problem.single()
        axes = axes.flip(-1)
        axes = torch.cat(
            [axes[..., :2], torch.linalg.cross(axes[..., 0], axes[..., 1])[..., None]], dim=-1)
        R_kept, t_kept = closed_form_pose(single, axes, deviations / extent[:, None])
        R_kept, t_kept, *_ = minimise(single, R_kept, t_kept, SINGLE_STEPS, SINGLE_TOLERANCE)
    else:
        R_kept, t_kept = (value.double()[keep] for value in start)
        t_kept = (t_kept + (R_kept @ centre[..., None])[..., 0]) / extent[:, None]
    R_kept, t_kept, cost, factor, converged = minimise(problem, R_kept, t_kept, iterations)
    minimum = _Minimum(problem.products[:, :4], pixels, problem.focal, weights, total,
                       torch.cat([t_kept[..., None], R_kept], dim=2), centre, extent, factor)
    t_kept = t_kept * extent[:, None] - (R_kept @ centre[..., None])[..., 0]

    if not converged.all():
        valid[keep] = converged
        keep, R_kept, t_kept, cost = (
            value[converged] for value in (keep, R_kept, t_kept, cost))
        minimum = _Minimum(*(value[converged] for value in minimum))
    R[keep], t[keep], error[keep] = R_kept, t_kept, (2 * cost).sqrt()
    return R, t, valid, error, keep, minimum


def _pixels_differ(pixels: Tensor, weights: Tensor) -> Tensor:
    """Return whether the pixels of positive weight are finite and not all the same, (B,)."""
    mean, square = pixels @ weights[..., None], (pixels * pixels) @ weights[..., None]
    variance = (square - mean * mean).sum((1, 2))
    return variance > 1e-12 * (1 + square.sum((1, 2)))  # False for NaN


def _count_distinct(points: Tensor, used: Tensor) -> Tensor:
    """Count the distinct points among those used (B, 3, N), up to ``MIN_POINTS``.

    Each round takes the point farthest from those taken before.
    """
    row = torch.arange(len(points), device=points.device)
    distance = torch.where(used, (points * points).sum(1), -torch.inf)
    tolerance = 1e-18 * distance.amax(1)
    count = torch.zeros_like(row)
    distance = torch.where(used, torch.inf, -torch.inf).to(points)
    for _ in range(MIN_POINTS):
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
        points, pixels, focal, weights, total, pose, centre, extent, factor = ctx.saved_tensors
        R = pose[..., 1:]
        # t = extent * t' - R centre, in the parameters of the normalised pose R, t'.
        grad_R = grad_R - grad_t[..., None] * centre[:, None]
        product = grad_R @ R.transpose(1, 2)
        product = product - product.transpose(1, 2)
        grad_omega = torch.stack([product[:, 2, 1], product[:, 0, 2], product[:, 1, 0]], dim=1)
        grad_pose = torch.cat([grad_omega, grad_t * extent[:, None]], dim=1)
        motion = -torch.cholesky_solve(grad_pose[..., None], factor)
        poses = torch.stack([pose, torch.cat([motion[:, 3:], skew(motion[:, :3, 0]) @ R], dim=2)],
                            dim=1)
        maps = (focal[:, None] @ poses).flatten(1, 2)  # of points, to h and its motion

        h = maps @ points
        inverse_depth = 1 / h[:, 2:3]
        pixel, approach = h[:, :2] * inverse_depth, h[:, 5:] * inverse_depth
        flow = (h[:, 3:5] - pixel * h[:, 5:]) * inverse_depth
        error = pixel - pixels
        product = (error * flow).sum(1, keepdim=True)
        scale = weights[:, None] * inverse_depth
        grad_h = (flow - error * approach) * scale
        grad_motion = error * scale
        grad_h = torch.cat([
            grad_h, -(pixel * grad_h).sum(1, keepdim=True) - product * scale,
            grad_motion, -(pixel * grad_motion).sum(1, keepdim=True)], dim=1)

        grad_points = (maps[..., 1:].transpose(1, 2) @ grad_h) / extent[:, None, None]
        grad_pixels = -weights[:, None] * flow
        grad_cam2img = torch.zeros_like(focal)  # the last row is no parameter
        sums = (grad_h @ points.transpose(1, 2)).unflatten(1, (2, 3))
        grad_cam2img[:, :2] = (sums @ poses.transpose(2, 3)).sum(1)[:, :2]
        grad_cam2img[:, :2, 2] = -grad_pixels.sum(2)
        grad_weights = torch.where(weights > 0, product[:, 0], 0.) / total[:, None]
        return (grad_points.transpose(1, 2), grad_pixels.transpose(1, 2), grad_cam2img,
                grad_weights, *[None] * 11)
