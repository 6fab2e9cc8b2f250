"""Tables of a label-efficiency experiment: metrics over fractions, for each initialisation."""
from __future__ import annotations

import csv
import fnmatch
import io
from typing import Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from nclr_plugin.benchmarks.tables import markdown_table
from .execution import read_test
from .label_plan import SCRATCH, LabelRun
from .plan import TEST, TestSet
from .provenance import machine
from .report import mean_and_deviation

# Segmentation, panoptic segmentation, detection on KITTI and on nuScenes, as the hosts name them.
USUAL = ('miou', 'pq', '*KITTI/Overall_3D_AP40_moderate', '*/mAP', '*/NDS')


class LabelResult(NamedTuple):
    """The evaluation of a run.

    Attributes:
        init: ``scratch``, or the name of the checkpoint.
        fraction: Percent of the labels.
        seed: Seed of the run.
        commits: Revisions of the code that trained and evaluated.
        samples: Training samples that each process has seen, repetitions counted.
        metrics: All figures by name.
    """
    init: str
    fraction: float
    seed: int
    commits: Tuple[str, ...]
    samples: int
    metrics: Dict[str, float]

    def get(self, name: str) -> float:
        """A figure, not a number where the test has none."""
        return self.metrics.get(name, float('nan'))


def collect(runs: Sequence[LabelRun]) -> List[LabelResult]:
    """Results of the runs that are finished."""
    results = []
    for init, fraction, run in runs:
        record = read_test(run, TestSet(TEST))
        if record is not None:
            results.append(LabelResult(init, fraction, run.seed, tuple(record['commits']),
                                       record['samples'], record['metrics']))
    return results


def choose_metrics(results: Sequence[LabelResult], patterns: Sequence[str] = ()) -> List[str]:
    """Names of the metrics that the tables are about.

    Args:
        results: At least one.
        patterns: Names or shell patterns of them; default the usual ones, which may be absent.

    Raises:
        ValueError: If a pattern, or no usual one, is the name of a metric.
    """
    names = list(dict.fromkeys(name for result in results for name in result.metrics))
    found = {pattern: fnmatch.filter(names, pattern) for pattern in patterns or USUAL}
    missing = [pattern for pattern in patterns if not found[pattern]]
    chosen = list(dict.fromkeys(name for group in found.values() for name in group))
    if missing or not chosen:
        raise ValueError(f"--metrics: no figure of the tests is named {(missing or USUAL)[0]}; "
                         f"choose from: {', '.join(sorted(names))}")
    return chosen


def by_cell(results: Sequence[LabelResult]) -> Dict[Tuple[str, float], List[LabelResult]]:
    """The results by initialisation and fraction."""
    cells: Dict[Tuple[str, float], List[LabelResult]] = {}
    for result in results:
        cells.setdefault((result.init, result.fraction), []).append(result)
    return cells


def inits_of(results: Sequence[LabelResult]) -> List[str]:
    """Initialisations, from scratch first, others as they come."""
    return sorted(dict.fromkeys(result.init for result in results), key=lambda i: i != SCRATCH)


def csv_of_runs(results: Sequence[LabelResult]) -> str:
    """One line for each run, with every figure."""
    names = sorted({name for result in results for name in result.metrics})
    rows = [['init', 'fraction', 'seed', 'samples_per_process', 'commits', *names]]
    for result in results:
        rows.append([result.init, f'{result.fraction:g}', result.seed, result.samples,
                     ' '.join(result.commits), *(result.metrics.get(name, '') for name in names)])
    return _csv(rows)


def csv_of_cells(results: Sequence[LabelResult], metrics: Sequence[str]) -> str:
    """One line for each metric, fraction and initialisation: mean, sample deviation, best."""
    rows = [['metric', 'fraction', 'init', 'mean', 'std', 'best', 'runs', 'seeds',
             'samples_per_process']]
    for metric in metrics:
        for (init, fraction), cell in by_cell(results).items():
            values = [result.get(metric) for result in cell]
            rows.append([metric, f'{fraction:g}', init, np.mean(values), deviation(values),
                         max(values), len(cell), _seeds(cell), cell[0].samples])
    return _csv(rows)


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; not a number for a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else float('nan')


def table(results: Sequence[LabelResult], metric: str, best: bool = False) -> List[dict]:
    """Rows of the table of a metric: its mean and deviation over seeds, a row for each fraction.

    The gain over training from scratch is the mean over the seeds that both have, with the
    deviation of the differences.

    Args:
        results: At least one.
        metric: Name of the metric.
        best: Whether to add the best run of each initialisation.
    """
    cells, inits = by_cell(results), inits_of(results)
    form = '.3f' if all(abs(r.get(metric)) <= 1 for r in results) else '.2f'
    rows = []
    for fraction in sorted({fraction for _, fraction in cells}):
        groups = {init: cells.get((init, fraction), []) for init in inits}
        values = {init: {r.seed: r.get(metric) for r in group} for init, group in groups.items()}
        row = {'labels': f'{fraction:g}%'}
        for init in inits:
            row[init] = mean_and_deviation(list(values[init].values()) or [np.nan], form)
        for init in inits:
            if best:
                row[f'{init}, best'] = format(max(values[init].values(), default=np.nan), form)
        for init in inits:
            if init != SCRATCH and SCRATCH in inits:
                gains = [value - values[SCRATCH][seed] for seed, value in values[init].items()
                         if seed in values[SCRATCH]]
                row[f'{init} - {SCRATCH}'] = mean_and_deviation(gains or [np.nan], f'+{form}')
        row['seeds'] = _seeds_of_groups(groups)
        rows.append(row)
    return rows


def markdown(results: Sequence[LabelResult], metrics: Sequence[str], command: str,
             best: bool = False) -> str:
    """The document: a table for each metric, and what the figures come from."""
    parts = []
    for metric in metrics:
        if len(metrics) > 1:
            parts.append(f'### {metric}')
        parts.append(markdown_table(table(results, metric, best)))
    named = '' if len(metrics) > 1 else f'{metrics[0]}; '
    parts.append(f'{named}mean +- standard deviation over seeds, of the last checkpoint of each '
                 'run. The difference is taken seed by seed.')
    commits = ', '.join(sorted({commit for result in results for commit in result.commits}))
    parts.append(f'Commit {commits}; {machine()}\n\n```bash\n{command}\n```')
    return '\n\n'.join(parts) + '\n'


def _seeds(cell: Sequence[LabelResult]) -> str:
    return ' '.join(str(result.seed) for result in cell)


def _seeds_of_groups(groups: Mapping[str, Sequence[LabelResult]]) -> str:
    """Seeds once, where all initialisations have the same."""
    seeds = {init: _seeds(group) or '-' for init, group in groups.items()}
    if len(set(seeds.values())) == 1:
        return next(iter(seeds.values()))
    return '; '.join(f'{init} {text}' for init, text in seeds.items())


def _csv(rows: Sequence[Sequence[object]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator='\n').writerows(rows)
    return stream.getvalue()
