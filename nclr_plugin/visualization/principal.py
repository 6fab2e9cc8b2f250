"""Principal components of features."""
from __future__ import annotations

from typing import Tuple

import numpy as np


def principal_axes(features: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """The axes of largest variance, largest first.

    Args:
        features: (N, D), N >= 1.
        count: Axes, at most D.

    Returns:
        the mean (D,) and the axes (D, count). The largest entry of an axis is positive: the
        eigensolver leaves the sign open.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :count]
    largest = np.abs(axes).argmax(axis=0)
    return mean, axes * np.sign(axes[largest, np.arange(axes.shape[1])])
