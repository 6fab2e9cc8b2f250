"""Base of the metrics that add up a few sums of each frame, and statistics from such sums."""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..structures import inspection

Sums = Dict[str, Dict[str, Any]]


class FrameSumMetric(BaseMetric):
    """Report figures that follow from sums over frames.

    A subclass returns in :meth:`sums` the contribution of a frame, and in :meth:`figures` the
    result of the totals. Frames with mismatched images contribute nothing. A quantity that no frame
    has is left out of the figures, and the log says so.

    Attributes:
        quantities: Names of the summed quantities.
        needs: Requirements of the quantities, for the log.
    """

    quantities: tuple[str, ...] = ()
    needs = ''

    @abstractmethod
    def sums(self, sample: dict) -> Sums:
        """Return numbers or arrays by name for each quantity that a frame has."""

    @abstractmethod
    def figures(self, totals: Sums) -> dict[str, float]:
        """Return the figures by name, from the sums over all frames."""

    @abstractmethod
    def table(self, metrics: dict[str, float]) -> str:
        """Format the figures as text."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the sums of each frame of a batch.

        Args:
            data_batch: Not used.
            data_samples: :class:`~nclr_plugin.structures.CalibrationDataSample` as dicts.
        """
        for sample in data_samples:
            control = bool(sample.get('mismatched_image', False))
            # One record a frame, also of one that adds nothing: that is how distributed collection
            # drops padded frames.
            sums = {} if control else self.sums(inspection(sample))
            self.results.append(dict(mismatched_image=control, sums=sums))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compute the figures over all frames with their own images, and log a table of them.

        Args:
            results: Records that :meth:`process` kept, of all processes.

        Returns:
            Figures by name.

        Raises:
            ValueError: If there is no such frame.
        """
        name = type(self).__name__
        frames = [result['sums'] for result in results if not result['mismatched_image']]
        if not frames:
            raise ValueError(
                f'{name}: expected predictions for frames with their own images, found '
                f'{len(results)} frames, all with mismatched_image set; is the test set empty?'
                if results else f'{name}: no frame to evaluate; is the test set empty?')
        totals = {quantity: _total([frame[quantity] for frame in frames if quantity in frame])
                  for quantity in self.quantities if any(quantity in frame for frame in frames)}
        missing = [quantity for quantity in self.quantities if quantity not in totals]
        if missing:
            print_log(f'{name}: no predictions of {", ".join(missing)}, whose figures are left '
                      f'out; they need {self.needs}.', logger='current')
        if not totals:
            return {}
        metrics = self.figures(totals)
        print_log(self.table(metrics), logger='current')
        return metrics


def _total(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: np.sum([part[name] for part in parts], axis=0, dtype=np.float64)
            for name in parts[0]}


def moments(values: np.ndarray) -> dict[str, float]:
    """Return number, sum and sum of squares of (N,) values; these add up over parts of a set."""
    values = np.asarray(values, np.float64)
    return dict(count=float(len(values)), sum=float(values.sum()),
                squares=float((values**2).sum()))


def mean_std(total: dict[str, float]) -> tuple[float, float]:
    """Return mean and standard deviation (population) from :func:`moments`; NaN without values."""
    if not total['count']:
        return float('nan'), float('nan')
    mean = total['sum'] / total['count']
    # Rounding may leave a tiny negative number.
    return float(mean), float(np.sqrt(np.maximum(total['squares'] / total['count'] - mean**2, 0)))


def histogram(values: np.ndarray, inner_edges: np.ndarray) -> np.ndarray:
    """Count values in bins that are open below and closed above.

    Args:
        values: (N,) values.
        inner_edges: (B - 1,) ascending. The first bin has all values up to the first edge, the
            last one all values above the last edge.

    Returns:
        (B,) int32; bins k + 1 and later hold exactly the values above ``inner_edges[k]``.
    """
    bins = np.searchsorted(inner_edges, values, side='left')
    return np.bincount(bins, minlength=len(inner_edges) + 1).astype(np.int32)


def histogram_median(counts: np.ndarray, edges: np.ndarray) -> float:
    """Return the median from a histogram, interpolated within its bin.

    Args:
        counts: (B,) values in each bin.
        edges: (B + 1,) ascending.

    Returns:
        Median in the unit of the edges, to the width of a bin; NaN when there is no value.
    """
    below = np.concatenate(([0.], np.cumsum(counts)))
    if not below[-1]:
        return float('nan')
    half = below[-1] / 2
    index = int(np.searchsorted(below, half, side='left')) - 1
    share = (half - below[index]) / counts[index]
    return float(edges[index] + share * (edges[index + 1] - edges[index]))


def ratio(part: float, whole: float) -> float:
    """Return a share; NaN if the whole is zero."""
    return float(part / whole) if whole else float('nan')
