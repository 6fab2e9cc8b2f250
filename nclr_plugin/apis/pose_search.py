"""A pose near a network's that the image speaks for."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nclr_plugin.geometry.se3 import make_transform, so3_exp

from ..evaluation.appearance import Appearance
from ..evaluation.paired_appearance import PairedAppearance

# One deviation of the first draw, about and along the axes of a standing scan, as a network errs:
# matches fix which way is up, and the height, much better than where the camera is and looks.
STEP = np.array([*np.radians([0.5, 0.5, 2.5]), 1.2, 1.2, 0.2])
# Points and neighbours of each, rounds, and least variance of a draw in squared steps: the few
# best poses of a round may lie in a line. Fewer points see farther, more see finer.
LEVELS = (300, 8, 3, 0.05), (600, 8, 3, 0.03), (1500, 6, 3, 0.01), (3000, 4, 2, 0.003)
DRAWN, KEPT = 500, 40
DISTANCE_WEIGHT = 0.01  # what a pose a step away in every direction has to be better by


def search_pose(appearance: Appearance, lidar2cam: np.ndarray,
                upright: np.ndarray = np.eye(3)) -> np.ndarray:
    """Find the pose of largest agreement within a few degrees and metres of a given one.

    The agreement is no smooth function of the pose and has many maxima. Poses are drawn from a
    normal distribution which is fitted, round after round, to the best ones so far (the
    cross-entropy method), from coarse to fine (:class:`PairedAppearance`). A weak preference for
    near poses settles what the image leaves open. The same arguments give the same pose.

    Args:
        appearance: Appearance of image and scan.
        lidar2cam: (4, 4), where to search.
        upright: (3, 3) rotation that stands the scan up (z up).

    Returns:
        (4, 4).
    """
    rng = np.random.default_rng(0)
    axes = lidar2cam[:3, :3] @ upright.T
    mean, covariance = np.zeros(6), np.eye(6)
    for size, neighbours, rounds, least_variance in LEVELS:
        pairs = PairedAppearance(appearance, lidar2cam, size, neighbours)

        def score(offsets: np.ndarray) -> np.ndarray:
            correlation = pairs.correlation(_moved(lidar2cam, axes, offsets)).double().numpy()
            return correlation - DISTANCE_WEIGHT * np.square(offsets).mean(1)

        best = mean[None]
        scores = score(best)
        for _ in range(rounds):
            drawn = rng.multivariate_normal(mean, covariance, DRAWN)
            best = np.concatenate((best, drawn))
            scores = np.append(scores, score(drawn))
            order = np.argsort(-scores)[:KEPT]
            best, scores = best[order], scores[order]
            weight = scores - scores.min() + 1e-3
            mean = np.average(best, axis=0, weights=weight)
            covariance = np.cov(best.T, aweights=weight, ddof=0) + least_variance * np.eye(6)
    return _moved(lidar2cam, axes, best[:1])[0].numpy()


def _moved(lidar2cam: np.ndarray, axes: np.ndarray, offsets: np.ndarray) -> Tensor:
    """(P, 4, 4) poses turned about a scan's axes, in the camera, and shifted by (P, 6) steps."""
    turn, shift = torch.from_numpy((offsets * STEP).reshape(-1, 2, 3) @ axes.T).unbind(1)
    return make_transform(so3_exp(turn), shift) @ torch.from_numpy(lidar2cam)
