"""Measures of how well a score separates successes from failures."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..utils.optional import optional_import


def auroc(scores: np.ndarray, success: np.ndarray) -> float:
    """Return the area under the receiver operating characteristic.

    That is the probability that a random success has a higher score than a random failure, ties
    counting half: 1 for a score that separates both, 0.5 for an uninformative one.

    Args:
        scores: (N,) scores; infinite ones are allowed.
        success: (N,) bool.

    Returns:
        Value from 0 to 1; NaN when all or none succeed, or when a score is NaN.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    scores, success = np.asarray(scores, np.float64), np.asarray(success, bool)
    if success.all() or not success.any() or np.isnan(scores).any():
        return float('nan')
    return float(_sklearn_metrics().roc_auc_score(success, _ranks(scores)[1]))


class Rejection(NamedTuple):
    """Receiver operating characteristic of a score, with one threshold.

    Attributes:
        threshold: Lowest score of an accepted pair.
        rejected: Share of the other pairs below it.
        thresholds: (T,) distinct scores, descending.
        accepted_true: (T,) share of the true pairs at or above each threshold.
        accepted_other: (T,) share of the other pairs at or above each threshold.
    """
    threshold: float
    rejected: float
    thresholds: np.ndarray
    accepted_true: np.ndarray
    accepted_other: np.ndarray


def rejection(scores: np.ndarray, true: np.ndarray, accepted: float = 0.9) -> Rejection:
    """Return the receiver operating characteristic and a threshold that accepts most true pairs.

    Args:
        scores: (N,) scores; infinite ones are allowed.
        true: (N,) bool, both kinds occur.
        accepted: Minimum share of the true pairs to accept.

    Raises:
        ValueError: If all or none are true, or a score is NaN.
        ImportError: If scikit-learn is not installed.
    """
    scores, true = np.asarray(scores, np.float64), np.asarray(true, bool)
    if true.all() or not true.any() or np.isnan(scores).any():
        raise ValueError(f'rejection: expected scores of true and of other pairs, found '
                         f'{int(true.sum())} true ones among {len(true)} and '
                         f'{int(np.isnan(scores).sum())} NaN scores.')
    values, ranks = _ranks(scores)
    false_rates, true_rates, _ = _sklearn_metrics().roc_curve(true, ranks, drop_intermediate=False)
    thresholds, other, true_rates = values[::-1], false_rates[1:], true_rates[1:]
    index = int(np.argmax(true_rates >= accepted - 1e-12))
    return Rejection(float(thresholds[index]), float(1 - other[index]), thresholds, true_rates,
                     other)


def _ranks(scores: np.ndarray) -> tuple:
    """Return the distinct scores, ascending, and the index of each; sklearn refuses -inf."""
    values, ranks = np.unique(scores, return_inverse=True)
    return values, ranks.reshape(-1)


def _sklearn_metrics():
    return optional_import('sklearn.metrics', 'scikit-learn', 'The confidence of poses')
