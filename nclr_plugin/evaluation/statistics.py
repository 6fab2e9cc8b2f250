"""Sums from which statistics of many values follow without keeping the values."""
from __future__ import annotations

from typing import Dict, Tuple

import numpy as np


def moments(values: np.ndarray) -> Dict[str, float]:
    """Number, sum and sum of squares of (N,) values; those of parts of a set add up."""
    values = np.asarray(values, np.float64)
    return dict(count=float(len(values)), sum=float(values.sum()),
                squares=float((values**2).sum()))


def mean_std(total: Dict[str, float]) -> Tuple[float, float]:
    """Mean and standard deviation (of the population) from :func:`moments`.

    Not a number when there is no value.
    """
    if not total['count']:
        return float('nan'), float('nan')
    mean = total['sum'] / total['count']
    # Rounding may leave a little less than nothing.
    return float(mean), float(np.sqrt(np.maximum(total['squares'] / total['count'] - mean**2, 0)))


def histogram(values: np.ndarray, inner_edges: np.ndarray) -> np.ndarray:
    """Counts of values in bins that are open below and closed above.

    Args:
        values: (N,).
        inner_edges: (B - 1,) ascending. The first bin has what is not above the first edge, the
            last one what is above the last.

    Returns:
        (B,) int32; bins k + 1 and later hold exactly the values above ``inner_edges[k]``.
    """
    place = np.searchsorted(inner_edges, values, side='left')
    return np.bincount(place, minlength=len(inner_edges) + 1).astype(np.int32)


def histogram_median(counts: np.ndarray, edges: np.ndarray) -> float:
    """Median of values of which only a histogram is left, interpolated within its bin.

    Args:
        counts: (B,).
        edges: (B + 1,) ascending.

    Returns:
        In the unit of the edges, to the width of a bin; not a number when there is no value.
    """
    below = np.concatenate(([0.], np.cumsum(counts)))
    if not below[-1]:
        return float('nan')
    half = below[-1] / 2
    place = int(np.searchsorted(below, half, side='left')) - 1
    share = (half - below[place]) / counts[place]
    return float(edges[place] + share * (edges[place + 1] - edges[place]))


def ratio(part: float, whole: float) -> float:
    """A share; not a number of an empty whole."""
    return float(part / whole) if whole else float('nan')
