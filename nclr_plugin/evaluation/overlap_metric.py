"""Accuracy of the predicted overlap (paper, section 3.4 and Fig. 10)."""
from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import METRICS
from torch import Tensor

from .frame_sum_metric import FrameSumMetric, Sums, histogram, ratio

SIDES = ('point', 'pixel')
NUM_BINS = 100
THRESHOLDS = np.arange(1, NUM_BINS) / NUM_BINS  # candidates for the best one
ROWS = (('true share', 'share'), ('precision', 'precision'), ('recall', 'recall'), ('IoU', 'iou'),
        ('best IoU', 'best_iou'), ('  at threshold', 'best_threshold'))


@METRICS.register_module()
class OverlapMetric(FrameSumMetric):
    """Report the detection of the points and pixels that both sensors see.

    Over all points (``point_*``) and all pixel cells (``pixel_*``) of all views:

    - ``precision``, ``recall``, ``iou`` at the thresholds that were used for matching;
    - ``best_iou``, ``best_threshold``: largest IoU of the thresholds from 0.01 to 0.99, and the
      smallest threshold that reaches it;
    - ``share``: share that truly overlaps, the IoU of predicting overlap everywhere.

    Accuracy would mislead, because overlap is rare. A share of nothing is NaN.

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
        for title, name in ROWS:
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
