"""Whether a score tells successes from failures."""
from __future__ import annotations

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
