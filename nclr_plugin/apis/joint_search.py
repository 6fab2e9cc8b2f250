"""Scores of poses over many frames, and their maximum."""
from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
import torch

from ..evaluation.photometric_consistency import BatchedReflectance, PhotometricConsistency
from ..geometry.se3 import make_transform, so3_exp
from .results import unknown_covariance

SIZE, NUM_NEIGHBOURS = 1500, 6
ROUNDS, NUM_SAMPLES, NUM_ELITES = 8, 100, 15


class JointScore:
    """Scores of poses, by frame.

    Args:
        pairs: Checked pairs of one camera.
        lidar2cam: (4, 4), centre of the poses to be compared.
        ranges: Degrees and metres that poses differ from it.
    """

    def __init__(self, pairs: Sequence[Any], lidar2cam: np.ndarray,
                 ranges: tuple[float, float]) -> None:
        self.frames = [BatchedReflectance(
            PhotometricConsistency(pair.image, pair.points, pair.cam2img), lidar2cam, SIZE,
            NUM_NEIGHBOURS) for pair in pairs]
        self.ranges = ranges

    def __call__(self, lidar2cam: np.ndarray) -> np.ndarray:
        """Return the scores (P, F) of poses (P, 4, 4)."""
        poses = torch.from_numpy(lidar2cam)
        return torch.stack([frame.correlation(poses) for frame in self.frames], 1).double().numpy()

    @staticmethod
    def move(lidar2cam: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return poses (P, 4, 4) rotated about and moved along the camera's axes.

        Args:
            lidar2cam: (4, 4).
            offsets: (P, 6), rotation vectors, radians, and translations, metres.
        """
        rotation, translation = torch.from_numpy(offsets).split(3, 1)
        R = so3_exp(rotation) @ torch.from_numpy(lidar2cam[:3, :3].copy())
        t = torch.from_numpy(lidar2cam[:3, 3].copy()) + translation
        return make_transform(R, t).numpy()

    def covariance(self, lidar2cam: np.ndarray) -> np.ndarray:
        """Return the covariance (6, 6) of the pose of the highest score."""
        return unknown_covariance()


def search_jointly(score: JointScore, start: np.ndarray, initial: np.ndarray,
                   ranges: tuple[float, float], say: Callable[[str], Any],
                   used: np.ndarray | None = None) -> np.ndarray:
    """Return the pose (4, 4) of the highest sum of scores.

    Args:
        score: Scores of the frames.
        start: (4, 4), first pose.
        initial: (4, 4), guess.
        ranges: Degrees and metres.
        say: Prints a line of progress.
        used: (F,) bool, frames that count; ``None``: all.
    """
    rng = np.random.default_rng(0)
    scale = np.repeat((np.radians(ranges[0]), ranges[1]), 3)
    mean, covariance = np.zeros(6), np.diag(np.square(scale / 2))
    best = np.zeros((1, 6))
    used = slice(None) if used is None else used

    def total(offsets: np.ndarray) -> np.ndarray:
        return score(score.move(start, offsets))[:, used].sum(1)

    scores = total(best)
    for number in range(ROUNDS):
        samples = rng.multivariate_normal(mean, covariance, NUM_SAMPLES).clip(-scale, scale)
        best = np.concatenate((best, samples))
        scores = np.append(scores, total(samples))
        order = np.argsort(-scores)[:NUM_ELITES]
        best, scores = best[order], scores[order]
        mean = best.mean(0)
        covariance = np.cov(best.T, ddof=0) + np.diag(np.square(scale * 0.5**number / 8))
        say(f'round {number + 1} of {ROUNDS}: score {scores[0]:.3f}')
    return score.move(start, best[:1])[0]
