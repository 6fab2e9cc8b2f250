"""How far matched pixels are from where the points truly are (paper, Table 8)."""
from __future__ import annotations

from typing import Any, Dict

import numpy as np
import torch
from mmengine.registry import METRICS

from .frame_sum_metric import FrameSumMetric, Sums
from .statistics import histogram, histogram_median, mean_std, moments, ratio

METHODS = dict(
    cosine_hard='Cosine + Hard-Match',
    cosine_soft='Cosine + Soft-Match',
    learned_hard='Learnable + Hard-Match',
    learned_soft='Learnable + Soft-Match')
# Pixels. Steps of 3%: the median needs no more, and an image has no larger distance.
ERROR_EDGES = np.concatenate(([0.], np.geomspace(0.1, 1e4, 401)))


@METRICS.register_module()
class MatchingMetric(FrameSumMetric):
    """Error of feature matching, for four ways to match, in one pass.

    Over all truly overlapping points of all views: the distance between the matched pixel and the
    point's true projection. For each of ``cosine_hard``, ``cosine_soft``, ``learned_hard`` and
    ``learned_soft`` (similarity before or after the learned alignment; the most similar pixel or
    the soft match):

    - ``<method>_error_px_mean``, ``<method>_error_px_std``, and ``<method>_error_px_median`` (from
      a histogram, to 3%);
    - ``<method>_accuracy_<a>px``: share of the points with an error below ``accuracy_px``;

    and ``num_points``. A view without points adds none; without any the figures are not a number.

    Args:
        accuracy_px: Below this error, in input-image pixels, a match is a fine one.
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'matching'
    quantities = tuple(METHODS)
    needs = 'matchings in the data samples, the learned ones a model with alignment'

    def __init__(self, accuracy_px: float = 5., **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.accuracy_px = float(accuracy_px)

    def sums(self, sample: dict) -> Sums:
        """Sums over the points of a frame, of the ways of matching that it has."""
        matchings = sample.get('matchings') or []
        sums = {}
        for method in METHODS:
            errors = [(matching.get(method) - matching.get('true_pixels')).double().norm(dim=-1)
                      for matching in matchings if method in matching]
            if errors:
                errors = torch.cat(errors).cpu().numpy()
                sums[method] = dict(
                    moments(errors),
                    fine=int((errors < self.accuracy_px).sum()),
                    histogram=histogram(errors, ERROR_EDGES[1:-1]))
        return sums

    def figures(self, totals: Sums) -> Dict[str, float]:
        """The rows of Table 8 by name."""
        metrics = {}
        for method, total in totals.items():
            mean, std = mean_std(total)
            metrics[f'{method}_error_px_mean'], metrics[f'{method}_error_px_std'] = mean, std
            metrics[f'{method}_error_px_median'] = histogram_median(
                total['histogram'], ERROR_EDGES)
            metrics[self._accuracy(method)] = ratio(total['fine'], total['count'])
        metrics['num_points'] = float(max(total['count'] for total in totals.values()))
        return metrics

    def table(self, metrics: Dict[str, float]) -> str:
        """The figures as text, laid out like Table 8."""
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
