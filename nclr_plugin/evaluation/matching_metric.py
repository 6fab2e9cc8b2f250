"""Quality of point-to-pixel features: matching errors (paper, Table 8), similarity (Table 7)."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.registry import METRICS

from .frame_sum_metric import (FrameSumMetric, Sums, histogram, histogram_median, mean_std, moments,
                               ratio)

METHODS = dict(
    cosine_hard='Cosine + Hard-Match',
    cosine_soft='Cosine + Soft-Match',
    learned_hard='Learnable + Hard-Match',
    learned_soft='Learnable + Soft-Match')
SIMILARITIES = dict(cosine_similarity='w/o LTA', learned_similarity='w/ LTA')
# Pixels. Steps of 3% suffice for the median, and no image is larger.
ERROR_EDGES = np.concatenate(([0.], np.geomspace(0.1, 1e4, 401)))


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
