"""A pose near a network's that the image speaks for."""
from __future__ import annotations

import numpy as np
import torch

from nclr_plugin.geometry.se3 import make_transform, so3_exp

from ..evaluation.appearance import Appearance
from ..utils.optional import optional_import

STEP = np.array([np.radians(2.)] * 3 + [1.] * 3)  # one deviation of the first draw
ROUNDS, DRAWN, KEPT = 7, 100, 12
LEAST_VARIANCE = 0.02  # of a draw, in steps squared: a few poses in a row of a line stay a cloud
DISTANCE_WEIGHT = 0.01  # what a pose a step away in every direction has to be better by
LAST_STEP, LAST_EVALUATIONS = 0.2, 120
NUM_POINTS, MARGIN = 6000, 60.  # pixels


def search_pose(appearance: Appearance, lidar2cam: np.ndarray) -> np.ndarray:
    """The pose of largest agreement within a few degrees and metres of a given one.

    The agreement is no smooth function of the pose and has many maxima. Poses are drawn from a
    normal distribution which is fitted, round after round, to the best ones so far (the
    cross-entropy method); a simplex search ends it. A weak preference for near poses settles
    what the image leaves open. The same arguments give the same pose.

    Args:
        appearance: Of image and scan.
        lidar2cam: (4, 4), where to search.

    Returns:
        (4, 4).
    """
    optimize = optional_import('scipy.optimize', 'scipy', 'Searching a pose')
    part = appearance.near(lidar2cam, MARGIN, NUM_POINTS)

    def score(offset: np.ndarray) -> float:
        agreement = part.agreement(_moved(lidar2cam, offset))
        return agreement - DISTANCE_WEIGHT * np.square(offset).mean()

    rng = np.random.default_rng(0)
    mean, covariance = np.zeros(6), np.eye(6)
    best, scores = mean[None], np.array([score(mean)])
    for _ in range(ROUNDS):
        drawn = rng.multivariate_normal(mean, covariance, DRAWN)
        best = np.concatenate((best, drawn))
        scores = np.append(scores, [score(offset) for offset in drawn])
        order = np.argsort(-scores)[:KEPT]
        best, scores = best[order], scores[order]
        weight = scores - scores.min() + 1e-3
        mean = np.average(best, axis=0, weights=weight)
        covariance = np.cov(best.T, aweights=weight, ddof=0) + LEAST_VARIANCE * np.eye(6)
    simplex = best[0] + LAST_STEP * np.vstack((np.zeros(6), np.eye(6)))
    found = optimize.minimize(
        lambda offset: -score(offset), best[0], method='Nelder-Mead',
        options=dict(initial_simplex=simplex, maxfev=LAST_EVALUATIONS))
    return _moved(lidar2cam, found.x)


def _moved(lidar2cam: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """A pose turned about the camera's axes and shifted along them by so many steps."""
    turn, shift = torch.from_numpy(offset * STEP).split(3)
    return make_transform(so3_exp(turn), shift).numpy() @ lidar2cam
