"""Registration recall over thresholds (paper, Fig. 9)."""
from __future__ import annotations

import numpy as np


def recall_curve(errors: np.ndarray, valid: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Share of views whose error is below each threshold.

    Args:
        errors: (N,), of any unit; one that is not a number is below no threshold.
        valid: (N,) bool. A view without a pose is a miss at every threshold, whatever stands in
            ``errors``.
        thresholds: (T,), of the same unit.

    Returns:
        (T,) float64, from 0 to 1.

    Raises:
        ValueError: When there is no view, or errors and valid differ in length.

    Example:
        >>> recall_curve([0.5, 2., 1.], [True, True, False], [1., 3.])
        array([0.33333333, 0.66666667])
    """
    errors, valid = np.asarray(errors, np.float64), np.asarray(valid, bool)
    if errors.ndim != 1 or errors.shape != valid.shape or not len(errors):
        raise ValueError('recall_curve: expected errors and valid of the same shape (N,) with '
                         f'N > 0, found {errors.shape} and {valid.shape}.')
    return np.searchsorted(np.sort(errors[valid]), thresholds, side='left') / len(errors)
