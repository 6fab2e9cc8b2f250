"""The figures of :class:`~nclr_plugin.evaluation.CalibrationMetric` as text."""
from __future__ import annotations

from typing import Dict, List, Tuple

ERROR_TITLES = dict(rre_geodesic_deg='RRE geodesic [deg]', rre_euler_deg='RRE Euler sum [deg]',
                    rte_m='RTE [m]')


def recall_name(degrees: float, metres: float) -> str:
    """Name of the recall within both thresholds."""
    return f'recall_{degrees:g}deg_{metres:g}m'


def calibration_table(metrics: Dict[str, float], thresholds: List[Tuple[float, float]],
                      prefixes: Dict[str, str]) -> str:
    """A line for each figure, a column for each kind of answer.

    Args:
        metrics: Figures by name.
        thresholds: Pairs (degrees, metres) of the recalls.
        prefixes: For each column its title and what the names of its figures begin with.
    """
    rows = [(f'{title} {statistic}', f'{name}_{statistic}')
            for name, title in ERROR_TITLES.items() for statistic in ('mean', 'std', 'median')]
    rows += [(f'recall < {degrees:g} deg, < {metres:g} m', recall_name(degrees, metres))
             for degrees, metres in thresholds]
    rows += [('failure rate', 'failure_rate'), ('confidence AUROC', 'confidence_auroc')]
    title = f'Calibration of {metrics["num_views"]:.0f} views'
    if 'wrong_image_num_views' in metrics:
        title += f', and of {metrics["wrong_image_num_views"]:.0f} with a wrong image'
    lines = [f'{title} (one without a pose is a miss, with the errors of the identity placement)',
             _line('', list(prefixes))]
    for title, name in rows:
        values = [metrics.get(prefix + name) for prefix in prefixes.values()]
        if any(value is not None for value in values):
            lines.append(_line(title, ['' if value is None else f'{value:.3f}'
                                       for value in values]))
    return '\n'.join(lines)


def _line(title: str, values: List[str]) -> str:
    return f'{title:<28}' + ''.join(f'{value:>14}' for value in values)
