"""How similar features of corresponding points and pixels are (paper, Table 7)."""
from __future__ import annotations

from typing import Dict

import torch
from mmengine.registry import METRICS

from .frame_sum_metric import FrameSumMetric, Sums
from .statistics import mean_std, moments

SIMILARITIES = dict(cosine_similarity='w/o LTA', learned_similarity='w/ LTA')


@METRICS.register_module()
class AlignmentMetric(FrameSumMetric):
    """Cosine of a point's feature and that of the pixel cell it truly projects to.

    Over all matched points of all views: ``cosine_similarity_mean``, ``cosine_similarity_std``
    before and ``learned_similarity_mean``, ``learned_similarity_std`` after the learned
    transformation alignment, and ``num_points``. Without any point they are not a number.

    Args:
        kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of mmengine's ``BaseMetric``.
    """

    default_prefix = 'alignment'
    quantities = tuple(SIMILARITIES)
    needs = 'matchings in the data samples, the learned one a model with alignment'

    def sums(self, sample: dict) -> Sums:
        """Sums over the points of a frame, of the similarities that it has."""
        matchings = sample.get('matchings') or []
        sums = {}
        for name in SIMILARITIES:
            values = [matching.get(name) for matching in matchings if name in matching]
            if values:
                sums[name] = moments(torch.cat(values).cpu().numpy())
        return sums

    def figures(self, totals: Sums) -> Dict[str, float]:
        """The rows of Table 7 by name."""
        metrics = {}
        for name, total in totals.items():
            metrics[f'{name}_mean'], metrics[f'{name}_std'] = mean_std(total)
        metrics['num_points'] = float(max(total['count'] for total in totals.values()))
        return metrics

    def table(self, metrics: Dict[str, float]) -> str:
        """The figures as text, laid out like Table 7."""
        lines = [f'Similarity of {metrics["num_points"]:.0f} points and their pixels']
        for name, title in SIMILARITIES.items():
            if f'{name}_mean' in metrics:
                mean, std = metrics[f'{name}_mean'], metrics[f'{name}_std']
                lines.append(f'{title:<12}{f"{mean:.3f} +- {std:.3f}":>20}')
        return '\n'.join(lines)
