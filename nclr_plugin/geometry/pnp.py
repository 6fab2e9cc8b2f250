"""Camera poses from 3D-2D matches: the differentiable EPnP layer and robust solvers (Eq. 6).

All of them find the maximum-likelihood pose, the one with the least weighted squared
reprojection error ``sum_i w_i |project(R p_i + t) - u_i|^2``. Inputs of any floating type are
solved in float64, outside autocast, and poses come back in float64.
"""
from __future__ import annotations

from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from .epnp import closed_form_pose
from .reprojection import (MIN_DEPTH, PnPProblem, damped_cholesky, make_problem, minimise,
                           residuals, wrenches)
from .se3 import so3_exp

MIN_POINTS = 4
_MIN_SPREAD = 1e-4  # of the points' second principal axis over their first: less is a line
_ROBUST_FLAGS = {
    'ransac_p3p': 'SOLVEPNP_P3P',
    'ransac_epnp': 'SOLVEPNP_EPNP',
    'ransac_sqpnp': 'SOLVEPNP_SQPNP',
}


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


class RobustPose(NamedTuple):
    """The pose of one view from matches of which some are wrong.

    Attributes:
        R: (3, 3) float64, LiDAR to camera; the identity on failure.
        t: (3,) float64, metres; zero on failure.
        inliers: (N,) bool, matches within the threshold of the pose.
        success: Whether a pose was found.
        reprojection_error: Root mean square over the inliers, pixels; infinite on failure.
    """
    R: Tensor
    t: Tensor
    inliers: Tensor
    success: bool
    reprojection_error: float


def solve_epnp(points: Tensor,
               pixels: Tensor,
               cam2img: Tensor,
               weights: Optional[Tensor] = None,
               iterations: int = 20) -> PnPSolution:
    """Maximum-likelihood poses: EPnP, then damped Newton steps (paper, Eq. 6).

    Gradients with respect to all four arguments are exact to first order: by the implicit
    function theorem at the minimum, not through the iterations.

    A sample without a unique pose is told apart before solving: fewer than ``MIN_POINTS``
    distinct points of positive weight, points on a line, pixels that all coincide, or a value
    that is not finite among the points used. So is, after solving, one that did not converge.

    Args:
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2), (u, v).
        cam2img: (B, 3, 3), upper triangular with last row (0, 0, 1).
        weights: (B, N), non-negative; a zero weight is an absent point, whose values do not
            matter and which receives no gradient. One each if None.
        iterations: Largest number of steps of the refinement.

    Returns:
        PnPSolution: Poses.

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
    """The minimum of the reprojection error nearest to a given pose.

    As :func:`solve_epnp`, gradients included, but for the start; none flows to it.

    Args:
        R: (B, 3, 3), where to start.
        t: (B, 3), metres.
        points: (B, N, 3), metres, LiDAR frame.
        pixels: (B, N, 2).
        cam2img: (B, 3, 3).
        weights: (B, N), non-negative.
        iterations: Largest number of steps.

    Returns:
        PnPSolution: Poses.

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

    with torch.autocast(points.device.type, enabled=False):
        args = [value.double() for value in (points, pixels, cam2img, weights)]
        valid, (centre, extent, axes, deviations) = _check(*args)
        R_all = torch.eye(3, dtype=torch.float64, device=points.device).repeat(batch, 1, 1)
        t_all, error_all = R_all.new_zeros(batch, 3), R_all.new_zeros(batch)
        keep = valid.nonzero()[:, 0]
        if not len(keep):
            return PnPSolution(R_all, t_all, valid, error_all)
        points, pixels, cam2img, weights = (value[keep] for value in args)
        centre, extent, axes, deviations = (
            value[keep] for value in (centre, extent, axes, deviations))

        used = weights > 0
        points = torch.where(used[..., None], points, centre[:, None])
        pixels = torch.where(used[..., None], pixels, torch.zeros_like(pixels))
        weights = torch.where(used, weights, torch.zeros_like(weights))
        weights = weights / weights.detach().sum(1, keepdim=True)
        problem = make_problem(points, pixels, cam2img, weights, centre, extent)
        with torch.no_grad():
            if start is None:
                R, t = closed_form_pose(problem, axes, deviations)
            else:
                R, t = (value.detach().double()[keep] for value in start)
                t = (t + (R @ centre[..., None])[..., 0]) / extent[:, None]
            R, t, at = minimise(problem, R, _in_front(problem, R, t), iterations)
            factor = damped_cholesky(at, torch.zeros_like(at.cost))
        R, t = _implicit_step(problem, R, t, factor)
        error = (2 * at.cost).sqrt()
        t = t * extent[:, None] - (R @ centre[..., None])[..., 0]
        if len(keep) == batch:
            return PnPSolution(R, t, valid, error)
        return PnPSolution(R_all.index_put((keep,), R), t_all.index_put((keep,), t), valid,
                           error_all.index_put((keep,), error))


@torch.no_grad()
def _check(points: Tensor, pixels: Tensor, cam2img: Tensor, weights: Tensor):
    """Which samples have a unique pose (B,), and their centroid (B, 3), extent (B,), principal
    axes (B, 3, 3) and deviations in units of the extent (B, 3)."""
    used = weights > 0
    finite = points.isfinite().all(-1) & pixels.isfinite().all(-1) & weights.isfinite()
    valid = (finite | ~used).all(1) & ~weights.isnan().any(1)
    valid &= cam2img.isfinite().all(-1).all(-1)
    weights = torch.where(used & finite, weights, torch.zeros_like(weights))
    weights = weights / weights.sum(1, keepdim=True).clamp(min=1e-300)
    points = torch.where(weights[..., None] > 0, points, torch.zeros_like(points))
    centre = (weights[:, None] @ points)[:, 0]
    centred = points - centre[:, None]
    covariance = (centred * weights[..., None]).transpose(1, 2) @ centred
    variances, axes = torch.linalg.eigh(covariance)
    deviations = variances.clamp(min=0).sqrt().flip(-1)
    extent = deviations.norm(dim=1)
    axes = axes.flip(-1)
    axes = torch.cat([axes[..., :2], torch.cross(axes[..., 0], axes[..., 1], dim=-1)[..., None]],
                     dim=-1)
    valid &= deviations[:, 1] > _MIN_SPREAD * deviations[:, 0]
    valid &= deviations[:, 0] > 1e-9 * centre.norm(dim=1)
    extent = torch.where(valid, extent, torch.ones_like(extent))
    return valid, (centre, extent, axes, deviations / extent[:, None])


def _in_front(problem: PnPProblem, R: Tensor, t: Tensor) -> Tensor:
    """Moves poses forward until every point lies in front of the camera."""
    depth = (R[:, 2:] @ problem.points)[:, 0] + t[:, 2:]
    nearest = torch.where(problem.weights > 0, depth, torch.inf).amin(1)
    push = torch.where(nearest > MIN_DEPTH, torch.zeros_like(nearest), 1 - nearest)
    return torch.cat([t[:, :2], t[:, 2:] + push[:, None]], dim=1)


def _implicit_step(problem: PnPProblem, R: Tensor, t: Tensor,
                   factor: Tensor) -> Tuple[Tensor, Tensor]:
    """One Newton step from the minimum: of length zero, but with the minimum's derivatives."""
    rotated, _, slopes, weighted, _ = residuals(problem, R, t)
    gradient = wrenches(rotated, slopes, weighted).sum(-1)
    step = -torch.cholesky_solve((gradient - gradient.detach())[..., None], factor)[..., 0]
    return so3_exp(step[:, :3]) @ R, t + step[:, 3:]


@torch.no_grad()
def solve_robust(points: Tensor,
                 pixels: Tensor,
                 cam2img: Tensor,
                 method: str = 'ransac_p3p',
                 threshold: float = 4.0,
                 iterations: int = 10000,
                 seed: int = 0) -> RobustPose:
    """The pose of one view in spite of wrong matches: OpenCV's RANSAC, then the
    maximum-likelihood pose of its inliers, chosen anew twice.

    Args:
        points: (N, 3), metres, LiDAR frame.
        pixels: (N, 2).
        cam2img: (3, 3).
        method: 'ransac_p3p', 'ransac_epnp' or 'ransac_sqpnp'.
        threshold: Largest reprojection error of an inlier, pixels.
        iterations: Largest number of samples drawn.
        seed: Of the draws; the result is a function of the arguments.

    Returns:
        RobustPose: The pose; ``success`` is False with fewer than ``MIN_POINTS`` inliers.

    Raises:
        ValueError: If ``method`` is unknown or the shapes do not fit.
        ImportError: If OpenCV is missing.
    """
    if method not in _ROBUST_FLAGS:
        raise ValueError(f'method: expected one of {sorted(_ROBUST_FLAGS)}, found {method!r}')
    count = len(points)
    for name, value, expected in (('points', points, (count, 3)), ('pixels', pixels, (count, 2)),
                                  ('cam2img', cam2img, (3, 3))):
        if value.shape != expected:
            raise ValueError(f'{name}: expected shape {expected}, found {tuple(value.shape)}')
    try:
        import cv2
    except ImportError as error:
        raise ImportError('solve_robust needs OpenCV: pip install opencv-python-headless') from error

    device = points.device
    points, pixels, cam2img = (value.double() for value in (points, pixels, cam2img))
    failure = RobustPose(torch.eye(3, dtype=torch.float64, device=device),
                         points.new_zeros(3), torch.zeros(count, dtype=torch.bool, device=device),
                         False, float('inf'))
    finite = (points.isfinite().all(1) & pixels.isfinite().all(1)).nonzero()[:, 0].cpu()
    if len(finite) < MIN_POINTS:
        return failure
    # OpenCV draws from a fixed stream, so the seed acts through the order of the matches.
    order = finite[torch.randperm(len(finite), generator=torch.Generator().manual_seed(seed))]
    try:
        found, rotation, translation, inliers = cv2.solvePnPRansac(
            points.cpu()[order].numpy(), pixels.cpu()[order].numpy(), cam2img.cpu().numpy(), None,
            flags=getattr(cv2, _ROBUST_FLAGS[method]), iterationsCount=iterations,
            reprojectionError=threshold, confidence=0.9999)
    except cv2.error:  # OpenCV asserts on some degenerate samples
        return failure
    if not found or inliers is None:
        return failure
    R = torch.from_numpy(cv2.Rodrigues(rotation)[0]).to(device)
    t = torch.from_numpy(translation[:, 0]).to(device)
    inlier = torch.zeros(count, dtype=torch.bool)
    inlier[order[torch.from_numpy(inliers[:, 0]).long()]] = True
    inlier = inlier.to(device)
    for _ in range(2):
        solution = refine_pose(R[None], t[None], points[None], pixels[None], cam2img[None],
                               inlier[None].double())
        if not solution.valid[0]:
            return failure
        R, t = solution.R[0], solution.t[0]
        in_camera = points @ R.T + t
        projected = (in_camera @ cam2img.T)[:, :2] / in_camera[:, 2:]
        distance = (projected - pixels).norm(dim=1)
        inlier = (distance < threshold) & (in_camera[:, 2] > 0)
    if inlier.sum() < MIN_POINTS:
        return failure
    return RobustPose(R, t, inlier, True, float((distance[inlier]**2).mean().sqrt()))
