"""Whether a score tells successes from failures."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np


def auroc(scores: np.ndarray, success: np.ndarray) -> float:
    """Area under the receiver operating characteristic.

    That is the probability that a success drawn at random has a higher score than a failure drawn
    at random, ties counting half: 1 for a score that separates both, 0.5 for one that says
    nothing.

    Args:
        scores: (N,).
        success: (N,) bool.

    Returns:
        From 0 to 1; not a number when all or none succeed, or when a score is not a number.
    """
    scores, success = np.asarray(scores, np.float64), np.asarray(success, bool)
    good, bad = int(success.sum()), int((~success).sum())
    if not good or not bad or np.isnan(scores).any():
        return float('nan')
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    # Rank from 1 on; equal scores share the mean of their ranks.
    rank = (np.cumsum(count) - (count - 1) / 2)[place.reshape(-1)]
    return float((rank[success].sum() - good * (good + 1) / 2) / (good * bad))


class Rejection(NamedTuple):
    """How well a score tells true pairs from others.

    Attributes:
        threshold: The score from which on a pair is accepted.
        rejected: Share of the others below it.
        thresholds: (T,) all scores, falling.
        accepted_true: (T,) share of the true pairs at or above each.
        accepted_other: (T,) share of the others at or above each.
    """
    threshold: float
    rejected: float
    thresholds: np.ndarray
    accepted_true: np.ndarray
    accepted_other: np.ndarray


def rejection(scores: np.ndarray, true: np.ndarray, accepted: float = 0.9) -> Rejection:
    """The receiver operating characteristic, and the point of it where most true pairs pass.

    Args:
        scores: (N,), finite.
        true: (N,) bool, some of both kinds.
        accepted: Least share of the true pairs that pass.

    Raises:
        ValueError: When all or none are true, or a score is not a number.
    """
    scores, true = np.asarray(scores, np.float64), np.asarray(true, bool)
    if true.all() or not true.any() or np.isnan(scores).any():
        raise ValueError(f'rejection: expected scores of true and of other pairs, found '
                         f'{int(true.sum())} true ones among {len(true)}, '
                         f'{int(np.isnan(scores).sum())} scores not a number.')
    thresholds = np.unique(scores)[::-1]
    passed_true, passed_other = (
        1 - np.searchsorted(np.sort(scores[kind]), thresholds, side='left') / kind.sum()
        for kind in (true, ~true))
    place = int(np.argmax(passed_true >= accepted - 1e-12))
    return Rejection(float(thresholds[place]), float(1 - passed_other[place]), thresholds,
                     passed_true, passed_other)
