"""Robust camera poses at test time: RANSAC, then the maximum-likelihood pose of the inliers."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..utils.optional import optional_import
from .pnp import MIN_POINTS, refine_pose

METHODS = {
    'ransac_p3p': 'SOLVEPNP_P3P',
    'ransac_epnp': 'SOLVEPNP_EPNP',
    'ransac_sqpnp': 'SOLVEPNP_SQPNP',
}


class RobustPose(NamedTuple):
    """Pose of one view, from matches with outliers.

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


@torch.no_grad()
def solve_robust(points: Tensor,
                 pixels: Tensor,
                 cam2img: Tensor,
                 method: str = 'ransac_p3p',
                 threshold: float = 4.0,
                 iterations: int = 10000,
                 seed: int = 0) -> RobustPose:
    """Find the pose of one view from matches with outliers.

    OpenCV's RANSAC, then twice the maximum-likelihood pose of the inliers.

    Args:
        points: (N, 3), metres, LiDAR frame.
        pixels: (N, 2).
        cam2img: (3, 3).
        method: 'ransac_p3p', 'ransac_epnp' or 'ransac_sqpnp'.
        threshold: Largest reprojection error of an inlier, pixels.
        iterations: Largest number of samples drawn.
        seed: Seed of the random samples; equal arguments give equal results.

    Returns:
        The pose; ``success`` is False with fewer than ``MIN_POINTS`` inliers.

    Raises:
        ValueError: If ``method`` is unknown or the shapes do not fit.
        ImportError: If OpenCV is missing.
    """
    if method not in METHODS:
        raise ValueError(f'method: expected one of {sorted(METHODS)}, found {method!r}')
    count = len(points)
    for name, value, expected in (('points', points, (count, 3)), ('pixels', pixels, (count, 2)),
                                  ('cam2img', cam2img, (3, 3))):
        if value.shape != expected:
            raise ValueError(f'{name}: expected shape {expected}, found {tuple(value.shape)}')
    cv2 = optional_import('cv2', 'opencv-python-headless', 'solve_robust')

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
            flags=getattr(cv2, METHODS[method]), iterationsCount=iterations,
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
