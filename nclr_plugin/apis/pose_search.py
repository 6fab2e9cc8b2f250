"""Refine a pose by photometric consistency."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..evaluation.photometric_consistency import BatchedReflectance, PhotometricConsistency
from ..geometry.se3 import make_transform, so3_exp

# Standard deviations of the first samples: rotations about (radians) and translations along
# (metres) the axes of an upright scan. They are typical errors of a network: matches fix roll,
# pitch and height much better than yaw and horizontal position.
STEP = np.array([*np.radians([0.5, 0.5, 2.5]), 1.2, 1.2, 0.2])
# Per level: number of points, neighbours of each, rounds, and minimum variance of the samples in
# squared steps, because the few best poses of a round may lie on a line. Fewer points give a
# smoother score, which helps far from the maximum; more points locate it better.
LEVELS = (300, 8, 3, 0.05), (600, 8, 3, 0.03), (1500, 6, 3, 0.01), (3000, 4, 2, 0.003)
NUM_SAMPLES, NUM_ELITES = 500, 40
DISTANCE_WEIGHT = 0.01  # penalty of a pose one step away in every direction


def search_pose(consistency: PhotometricConsistency, lidar2cam: np.ndarray,
                upright: np.ndarray = np.eye(3)) -> np.ndarray:
    """Find the most consistent pose within a few degrees and metres of a given one.

    Photometric consistency is not a smooth function of the pose and has many maxima. The
    cross-entropy method samples poses from a normal distribution and fits it to the best ones so
    far, round after round, from coarse to fine (:class:`BatchedReflectance`). A small penalty on
    the distance fixes directions that the image does not constrain. The search is deterministic.

    Args:
        consistency: Photometric consistency of the image and the scan.
        lidar2cam: (4, 4), centre of the search.
        upright: (3, 3) rotation that turns the scan upright (z up).

    Returns:
        (4, 4), the refined ``lidar2cam``.
    """
    rng = np.random.default_rng(0)
    axes = lidar2cam[:3, :3] @ upright.T
    mean, covariance = np.zeros(6), np.eye(6)
    for size, num_neighbours, rounds, min_variance in LEVELS:
        reflectance = BatchedReflectance(consistency, lidar2cam, size, num_neighbours)

        def score(offsets: np.ndarray) -> np.ndarray:
            correlation = reflectance.correlation(_move(lidar2cam, axes, offsets))
            return correlation.double().numpy() - DISTANCE_WEIGHT * np.square(offsets).mean(1)

        best = mean[None]
        scores = score(best)
        for _ in range(rounds):
            samples = rng.multivariate_normal(mean, covariance, NUM_SAMPLES)
            best = np.concatenate((best, samples))
            scores = np.append(scores, score(samples))
            order = np.argsort(-scores)[:NUM_ELITES]
            best, scores = best[order], scores[order]
            weight = scores - scores.min() + 1e-3
            mean = np.average(best, axis=0, weights=weight)
            covariance = np.cov(best.T, aweights=weight, ddof=0) + min_variance * np.eye(6)
    return _move(lidar2cam, axes, best[:1])[0].numpy()


def _move(lidar2cam: np.ndarray, axes: np.ndarray, offsets: np.ndarray) -> Tensor:
    """Return poses (P, 4, 4) rotated about and moved along axes (3, 3) by (P, 6) steps."""
    rotation, translation = torch.from_numpy(
        (offsets * STEP).reshape(-1, 2, 3) @ axes.T).unbind(1)
    return make_transform(so3_exp(rotation), translation) @ torch.from_numpy(lidar2cam)
