"""Quality of point-to-pixel matching: predicted overlap, similarity of features, matching errors.

These are Fig. 10 (section 3.4), Table 7 and Table 8 of the paper.
"""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from torch import Tensor

from ..structures import inspection

Sums = Dict[str, Dict[str, Any]]
SIDES = ('point', 'pixel')
THRESHOLDS = np.arange(1, 100) / 100  # of the overlap, candidates for the best one
OVERLAP_ROWS = (
    ('true share', 'share'), ('precision', 'precision'), ('recall', 'recall'), ('IoU', 'iou'),
    ('best IoU', 'best_iou'), ('  at threshold', 'best_threshold'))
METHODS = dict(
    cosine_hard='Cosine + Hard-Match',
    cosine_soft='Cosine + Soft-Match',
    learned_hard='Learnable + Hard-Match',
    learned_soft='Learnable + Soft-Match')
SIMILARITIES = dict(cosine_similarity='w/o LTA', learned_similarity='w/ LTA')
# Pixels. Steps of 3% suffice for the median, and no image is larger.
ERROR_EDGES = np.concatenate(([0.], np.geomspace(0.1, 1e4, 401)))


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


@METRICS.register_module()
class OverlapMetric(FrameSumMetric):
    """Report the detection of the points and pixels that both sensors see.

    Over all points (``point_*``) and all pixel cells (``pixel_*``) of all views:

    - ``precision``, ``recall``, ``iou`` at the thresholds that were used for matching;
    - ``best_iou``, ``best_threshold``: largest IoU of the thresholds from 0.01 to 0.99, and the
      smallest threshold that reaches it;
    - ``share``: share that truly overlaps, the IoU of predicting overlap everywhere.

    Accuracy would mislead, because overlap is rare. A ratio with denominator zero is NaN.

    Args:
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'overlap'
    quantities = tuple(f'{side}_overlap' for side in SIDES)
    needs = 'a model with an overlap head'

    def sums(self, sample: dict) -> Sums:
        """Count over the points and the cells of a frame."""
        thresholds = sample.get('overlap_thresholds')
        sums = {}
        for index, name in enumerate(self.quantities):
            predicted, truth = sample.get(f'pred_{name}'), sample.get(f'gt_{name}')
            if thresholds is not None and predicted is not None and truth is not None:
                sums[name] = _counts(predicted, truth, thresholds[index])
        return sums

    def figures(self, totals: Sums) -> dict[str, float]:
        """Return the figures of both sides by name."""
        metrics = {}
        for side in SIDES:
            if f'{side}_overlap' in totals:
                figures = _detection(**totals[f'{side}_overlap'])
                metrics.update({f'{side}_{name}': value for name, value in figures.items()})
        return metrics

    def table(self, metrics: dict[str, float]) -> str:
        """Format the figures as text, one line each: name, points, pixels."""
        sides = [side for side in SIDES if f'{side}_iou' in metrics]
        lines = [f'{"Overlap of":<16}' + ''.join(f'{side + "s":>12}' for side in sides)]
        for title, name in OVERLAP_ROWS:
            values = ''.join(f'{metrics[f"{side}_{name}"]:>12.3f}' for side in sides)
            lines.append(f'{title:<16}{values}')
        return '\n'.join(lines)


def _counts(predicted: Tensor, truth: Tensor, threshold: Tensor) -> dict[str, Any]:
    if predicted.shape != truth.shape:
        raise ValueError(
            f'OverlapMetric: expected labels of the shape of the predictions, '
            f'{tuple(predicted.shape)}, found {tuple(truth.shape)}.')
    positive, truth = (predicted > threshold).cpu().numpy(), truth.cpu().numpy().astype(bool)
    probabilities = predicted.cpu().numpy()
    return dict(
        hits=int((positive & truth).sum()),
        predicted=int(positive.sum()),
        inside=histogram(probabilities[truth], THRESHOLDS),
        outside=histogram(probabilities[~truth], THRESHOLDS))


def _detection(hits: float, predicted: float, inside: np.ndarray,
               outside: np.ndarray) -> dict[str, float]:
    """Compute the figures from the counts.

    Args:
        hits: True positives at the threshold that was used.
        predicted: All positives at that threshold.
        inside: (B,) histogram of the probabilities where there is overlap.
        outside: (B,) histogram of the probabilities elsewhere.
    """
    positives = inside.sum()
    figures = dict(
        precision=ratio(hits, predicted), recall=ratio(hits, positives),
        iou=ratio(hits, positives + predicted - hits),
        share=ratio(positives, positives + outside.sum()),
        best_iou=float('nan'), best_threshold=float('nan'))
    if positives:
        above = np.cumsum(inside[::-1])[::-1][1:]  # hits at each threshold of the grid
        false = np.cumsum(outside[::-1])[::-1][1:]
        iou = above / (positives + false)
        best = int(iou.argmax())
        figures.update(best_iou=float(iou[best]), best_threshold=float(THRESHOLDS[best]))
    return figures


@METRICS.register_module()
class MatchingMetric(FrameSumMetric):
    """Report the error of feature matching, for four ways to match.

    The error is the distance between the matched pixel and the point's true projection, over all
    truly overlapping points of all views. The ways are ``cosine_hard``, ``cosine_soft``,
    ``learned_hard`` and ``learned_soft``: similarity before or after the learned alignment; the
    most similar pixel or the soft match. For each:

    - ``<method>_error_px_mean``, ``<method>_error_px_std``, and ``<method>_error_px_median`` (from
      a histogram, accurate to 3%);
    - ``<method>_accuracy_<a>px``: share of the points with an error below ``accuracy_px``;

    and ``num_points``. Without any point the figures are NaN.

    Args:
        accuracy_px: Error below which a match is accurate, pixels of the input image.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'matching'
    quantities = tuple(METHODS)
    needs = 'matchings in the data samples, the learned ones a model with alignment'

    def __init__(self, accuracy_px: float = 5., **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accuracy_px = float(accuracy_px)

    def sums(self, sample: dict) -> Sums:
        """Return sums over the points of a frame, for the ways of matching that it has."""
        matchings = sample.get('matchings') or []
        sums = {}
        for method in METHODS:
            errors = [(matching.get(method) - matching.get('true_pixels')).double().norm(dim=-1)
                      for matching in matchings if method in matching]
            if errors:
                errors = torch.cat(errors).cpu().numpy()
                sums[method] = dict(
                    moments(errors),
                    accurate=int((errors < self.accuracy_px).sum()),
                    histogram=histogram(errors, ERROR_EDGES[1:-1]))
        return sums

    def figures(self, totals: Sums) -> dict[str, float]:
        """Return the rows of Table 8 by name."""
        metrics = {}
        for method, total in totals.items():
            mean, std = mean_std(total)
            metrics[f'{method}_error_px_mean'], metrics[f'{method}_error_px_std'] = mean, std
            metrics[f'{method}_error_px_median'] = histogram_median(
                total['histogram'], ERROR_EDGES)
            metrics[self._accuracy(method)] = ratio(total['accurate'], total['count'])
        metrics['num_points'] = float(max(total['count'] for total in totals.values()))
        return metrics

    def table(self, metrics: dict[str, float]) -> str:
        """Format the figures like Table 8."""
        lines = [f'Matching of {metrics["num_points"]:.0f} points in the true overlap',
                 f'{"":<24}{"error [px]":>20}{"median [px]":>14}'
                 f'{f"< {self.accuracy_px:g} px [%]":>14}']
        for method, title in METHODS.items():
            if self._accuracy(method) in metrics:
                mean, std, median = (metrics[f'{method}_error_px_{statistic}']
                                     for statistic in ('mean', 'std', 'median'))
                lines.append(f'{title:<24}{f"{mean:.2f} +- {std:.2f}":>20}{median:>14.2f}'
                             f'{100 * metrics[self._accuracy(method)]:>14.2f}')
        return '\n'.join(lines)

    def _accuracy(self, method: str) -> str:
        return f'{method}_accuracy_{self.accuracy_px:g}px'


@METRICS.register_module()
class AlignmentMetric(FrameSumMetric):
    """Report the cosine of a point's feature and that of the pixel cell it truly projects to.

    Over all matched points of all views: ``cosine_similarity_mean``, ``cosine_similarity_std``
    before and ``learned_similarity_mean``, ``learned_similarity_std`` after the learned
    transformation alignment, and ``num_points``. Without any point they are NaN.

    Args:
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'alignment'
    quantities = tuple(SIMILARITIES)
    needs = 'matchings in the data samples, the learned one a model with alignment'

    def sums(self, sample: dict) -> Sums:
        """Return sums over the points of a frame, for the similarities that it has."""
        matchings = sample.get('matchings') or []
        sums = {}
        for name in SIMILARITIES:
            values = [matching.get(name) for matching in matchings if name in matching]
            if values:
                sums[name] = moments(torch.cat(values).cpu().numpy())
        return sums

    def figures(self, totals: Sums) -> dict[str, float]:
        """Return the rows of Table 7 by name."""
        metrics = {}
        for name, total in totals.items():
            metrics[f'{name}_mean'], metrics[f'{name}_std'] = mean_std(total)
        metrics['num_points'] = float(max(total['count'] for total in totals.values()))
        return metrics

    def table(self, metrics: dict[str, float]) -> str:
        """Format the figures like Table 7."""
        lines = [f'Similarity of {metrics["num_points"]:.0f} points and their pixels']
        for name, title in SIMILARITIES.items():
            if f'{name}_mean' in metrics:
                mean, std = metrics[f'{name}_mean'], metrics[f'{name}_std']
                lines.append(f'{title:<12}{f"{mean:.3f} +- {std:.3f}":>20}')
        return '\n'.join(lines)
