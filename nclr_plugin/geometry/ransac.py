"""Robust camera poses at test time: RANSAC, then the maximum-likelihood pose of the inliers."""
from __future__ import annotations

import importlib.util
import logging
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from .camera import project_points
from .pnp import MIN_DISTINCT, refine_pose
from .se3 import make_transform

LO_RANSAC = 'lo_ransac'
OPENCV_METHODS = {
    'ransac_p3p': 'SOLVEPNP_P3P',
    'ransac_epnp': 'SOLVEPNP_EPNP',
    'ransac_sqpnp': 'SOLVEPNP_SQPNP',
}
METHODS = (LO_RANSAC, *OPENCV_METHODS)
FALLBACK = 'ransac_p3p'
CONFIDENCE = 0.9999
# PoseLib draws at least 1,000 samples by default, which dominates the time if most matches are
# correct. With its local optimisation a few samples give the same pose.
MIN_SAMPLES = 50


class RobustPose(NamedTuple):
    """Pose of one view from matches with outliers.

    Attributes:
        R: (3, 3) float64, LiDAR to camera; the identity on failure.
        t: (3,) float64, metres; zero on failure.
        inliers: (N,) bool, matches whose reprojection error is below the threshold.
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
                 method: str = LO_RANSAC,
                 threshold: float = 4.0,
                 iterations: int = 10000,
                 seed: int = 0) -> RobustPose:
    """Estimate the pose of one view from matches with outliers.

    Run RANSAC, then compute the maximum-likelihood pose of the inliers twice.

    Args:
        points: (N, 3) points in the LiDAR frame, metres.
        pixels: (N, 2) matched pixels.
        cam2img: (3, 3) intrinsics.
        method: ``'lo_ransac'`` is PoseLib's RANSAC with local optimisation, or ``'ransac_p3p'``
            if PoseLib is not installed. ``'ransac_p3p'``, ``'ransac_epnp'`` and
            ``'ransac_sqpnp'`` are OpenCV's.
        threshold: Maximum reprojection error of an inlier, pixels.
        iterations: Maximum number of random samples.
        seed: Seed of the random samples; equal arguments give equal results.

    Returns:
        The pose; ``success`` is False with fewer than ``MIN_DISTINCT`` inliers.

    Raises:
        ValueError: If ``method`` is unknown or the shapes do not fit.
    """
    if method not in METHODS:
        raise ValueError(f'method: expected one of {sorted(METHODS)}, found {method!r}')
    count = len(points)
    for name, value, expected in (('points', points, (count, 3)), ('pixels', pixels, (count, 2)),
                                  ('cam2img', cam2img, (3, 3))):
        if value.shape != expected:
            raise ValueError(f'{name}: expected shape {expected}, found {tuple(value.shape)}')
    if method == LO_RANSAC and not _has_poselib():
        method = FALLBACK
    sample = _poselib if method == LO_RANSAC else _opencv

    device = points.device
    # One small problem after another: a GPU would wait for the host in each step.
    points, pixels, cam2img = (value.double().cpu() for value in (points, pixels, cam2img))
    failure = RobustPose(*(value.to(device) for value in (
        torch.eye(3, dtype=torch.float64), points.new_zeros(3),
        torch.zeros(count, dtype=torch.bool))), False, float('inf'))
    finite = points.isfinite().all(1) & pixels.isfinite().all(1)
    if finite.sum() < MIN_DISTINCT:
        return failure
    pose = sample(*(value.numpy() for value in (points[finite], pixels[finite], cam2img)),
                  method, threshold, iterations, seed)
    if pose is None:
        return failure
    R, t = map(torch.tensor, pose)
    inlier, _ = _inliers(R, t, points, pixels, cam2img, threshold)
    for _ in range(2):
        solution = refine_pose(R[None], t[None], points[None], pixels[None], cam2img[None],
                               inlier[None].double())
        if not solution.valid[0]:
            return failure
        R, t = solution.R[0], solution.t[0]
        inlier, distance = _inliers(R, t, points, pixels, cam2img, threshold)
    if inlier.sum() < MIN_DISTINCT:
        return failure
    return RobustPose(R.to(device), t.to(device), inlier.to(device), True,
                      float((distance[inlier]**2).mean().sqrt()))


def _inliers(R: Tensor, t: Tensor, points: Tensor, pixels: Tensor, cam2img: Tensor,
             threshold: float) -> tuple[Tensor, Tensor]:
    """Return the inliers of a pose (N,), bool, and all reprojection errors (N,), pixels."""
    projected, depth = project_points(points, make_transform(R, t), cam2img)
    distance = (projected - pixels).norm(dim=1)
    return (distance < threshold) & (depth > 0), distance


@lru_cache(None)
def _has_poselib() -> bool:
    found = importlib.util.find_spec('poselib') is not None
    if not found:
        print_log(f'PoseLib is not installed; using {FALLBACK} of OpenCV, which takes several '
                  'times as long if most matches are wrong: pip install poselib',
                  logger='current', level=logging.WARNING)
    return found


def _poselib(points: np.ndarray, pixels: np.ndarray, cam2img: np.ndarray, method: str,
             threshold: float, iterations: int, seed: int) -> tuple | None:
    """Run PoseLib's RANSAC; return R (3, 3) and t (3,), or ``None`` on failure."""
    import poselib
    (fx, skew, cx), (_, fy, cy), _ = cam2img.tolist()
    # PoseLib's pinhole cameras have no skew.
    pixels = pixels - np.stack([skew * (pixels[:, 1] - cy) / fy, np.zeros(len(pixels))], 1)
    camera = dict(model='PINHOLE', width=0, height=0, params=[fx, fy, cx, cy])
    pose, info = poselib.estimate_absolute_pose(
        pixels, points, camera,
        dict(max_reproj_error=threshold, max_iterations=iterations,
             min_iterations=min(MIN_SAMPLES, iterations), success_prob=CONFIDENCE, seed=seed))
    if info['num_inliers'] < MIN_DISTINCT or not np.isfinite(pose.Rt).all():
        return None
    return pose.R, pose.t


def _opencv(points: np.ndarray, pixels: np.ndarray, cam2img: np.ndarray, method: str,
            threshold: float, iterations: int, seed: int) -> tuple | None:
    """Run OpenCV's RANSAC; return R (3, 3) and t (3,), or ``None`` on failure."""
    # OpenCV's random seed is fixed; shuffle the matches by ours instead.
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed)).numpy()
    try:
        found, rotation, translation, inliers = cv2.solvePnPRansac(
            points[order], pixels[order], cam2img, None,
            flags=getattr(cv2, OPENCV_METHODS[method]), iterationsCount=iterations,
            reprojectionError=threshold, confidence=CONFIDENCE)
    except cv2.error:  # OpenCV raises on some degenerate samples
        return None
    if not found or inliers is None:
        return None
    return cv2.Rodrigues(rotation)[0], translation[:, 0]
