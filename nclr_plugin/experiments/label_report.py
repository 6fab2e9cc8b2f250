"""Tables and figure of label efficiency: metrics over label fractions for each initialisation."""
from __future__ import annotations

import fnmatch
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from ..utils.optional import optional_import
from .execution import read_test
from .runs import CONFIG_TEST_SET, provenance
from .tables import markdown_table, mean_and_deviation

if TYPE_CHECKING:
    from pandas import DataFrame

    from .label_efficiency import LabelRun

SCRATCH = 'scratch'
COLUMNS = ['init', 'fraction', 'seed', 'samples_per_process', 'commits']
# Segmentation, panoptic segmentation, detection on KITTI and on nuScenes.
DEFAULT_METRICS = ('miou', 'pq', '*KITTI/Overall_3D_AP40_moderate', '*/mAP', '*/NDS')
SCRATCH_COLOUR = '#777777'
COLOURS = ('#1f5fa8', '#d08770', '#5b8c5a', '#8a5fa8')
SPREAD = 0.012  # offset between lines, share of the axis, so that error bars do not overlap


def collect(runs: Sequence[LabelRun]) -> DataFrame:
    """Collect the finished runs.

    Returns:
        One line per run: ``init``, ``fraction``, ``seed``, ``samples_per_process`` (number of
        training samples, with repetitions), ``commits``, and one column per metric.
    """
    pandas = optional_import('pandas', purpose='The table of label efficiency')
    lines = []
    for init, fraction, run in runs:
        record = read_test(run, CONFIG_TEST_SET)
        if record is not None:
            lines.append(dict(
                init=init, fraction=fraction, seed=run.seed,
                samples_per_process=record['samples'], commits=' '.join(record['commits']),
                **record['metrics']))
    return pandas.DataFrame(lines, columns=None if lines else COLUMNS)


def metrics_in(results: DataFrame) -> list[str]:
    """Return the names of all metrics."""
    return [name for name in results.columns if name not in COLUMNS]


def choose_metrics(results: DataFrame, patterns: Sequence[str] = ()) -> list[str]:
    """Return the names of the metrics to show in the tables.

    Args:
        results: At least one result of :func:`collect`.
        patterns: Names or shell patterns; by default those of ``DEFAULT_METRICS`` that exist.

    Raises:
        ValueError: If a given pattern matches no metric, or no default pattern does.
    """
    names = metrics_in(results)
    matches = {pattern: fnmatch.filter(names, pattern) for pattern in patterns or DEFAULT_METRICS}
    missing = [pattern for pattern in patterns if not matches[pattern]]
    selected = list(dict.fromkeys(itertools.chain(*matches.values())))
    if missing or not selected:
        raise ValueError(f'--metrics: the tests have no metric {(missing or DEFAULT_METRICS)[0]}; '
                         f"choose from: {', '.join(sorted(names))}")
    return selected


def initialisations(results: DataFrame) -> list[str]:
    """Return the initialisations: scratch first, the others in order of appearance."""
    return sorted(results['init'].unique(), key=lambda init: init != SCRATCH)


def csv_of_runs(results: DataFrame) -> str:
    """Format the runs as CSV: one line per run, with all metrics."""
    return _with_percent(results).to_csv(columns=COLUMNS + sorted(metrics_in(results)),
                                         index=False)


def csv_of_cells(results: DataFrame, metrics: Sequence[str]) -> str:
    """Format mean, deviation and best per metric, fraction and initialisation as CSV."""
    pandas = optional_import('pandas', purpose='The table of label efficiency')
    cells = _with_percent(results).groupby(['fraction', 'init'], sort=False)
    tables = [
        cells.agg(mean=(metric, lambda values: values.mean(skipna=False)),
                  std=(metric, lambda values: values.std(skipna=False)),
                  best=(metric, lambda values: values.max(skipna=False)),
                  runs=('seed', 'size'),
                  seeds=('seed', lambda seeds: ' '.join(map(str, seeds))),
                  samples_per_process=('samples_per_process', 'first')).reset_index()
        for metric in metrics
    ]
    for metric, lines in zip(metrics, tables):
        lines.insert(0, 'metric', metric)
    return pandas.concat(tables).to_csv(index=False, na_rep='nan')


def _with_percent(results: DataFrame) -> DataFrame:
    return results.assign(fraction=results['fraction'].map('{:g}'.format))


def table(results: DataFrame, metric: str, best: bool = False) -> list[dict]:
    """Return the table rows of a metric: mean and standard deviation over seeds per fraction.

    The gain over training from scratch is the mean of the per-seed differences, with their
    standard deviation.

    Args:
        results: At least one result of :func:`collect`.
        metric: Name of the metric.
        best: Whether to add the best run of each initialisation.
    """
    inits = initialisations(results)
    form = '.3f' if (results[metric].abs() <= 1).all() else '.2f'
    rows = []
    for fraction, cells in results.groupby('fraction'):
        values = {init: cells[cells['init'] == init].set_index('seed')[metric] for init in inits}
        row = {'labels': f'{fraction:g}%'}
        for init in inits:
            row[init] = mean_and_deviation(values[init], form)
        for init in inits:
            if best:
                row[f'{init}, best'] = format(values[init].max(skipna=False), form)
        for init in inits:
            if init != SCRATCH and SCRATCH in inits:
                shared = values[init].index.intersection(values[SCRATCH].index)
                gains = values[init][shared] - values[SCRATCH][shared]
                row[f'{init} - {SCRATCH}'] = mean_and_deviation(gains, f'+{form}')
        row['seeds'] = _seeds({init: values[init].index for init in inits})
        rows.append(row)
    return rows


def _seeds(seeds: dict[str, Sequence[int]]) -> str:
    """Format the seeds, only once if they are the same for all initialisations."""
    texts = {init: ' '.join(map(str, members)) or '-' for init, members in seeds.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return '; '.join(f'{init} {text}' for init, text in texts.items())


def markdown(results: DataFrame, metrics: Sequence[str], command: str,
             best: bool = False) -> str:
    """Format one table per metric, followed by the provenance of the results."""
    parts = []
    for metric in metrics:
        if len(metrics) > 1:
            parts.append(f'### {metric}')
        parts.append(markdown_table(table(results, metric, best)))
    name = '' if len(metrics) > 1 else f'{metrics[0]}; '
    parts.append(f'{name}mean +- standard deviation over seeds, last checkpoint of each run. '
                 'Differences are taken seed by seed.')
    parts.append(provenance(' '.join(results['commits']).split(), command))
    return '\n\n'.join(parts) + '\n'


def write_figure(results: DataFrame, metrics: Sequence[str], path: Path) -> None:
    """Plot mean and standard deviation over label fractions, one line per initialisation.

    Each metric has its own panel. Each dot is a run. The axis of the fractions is logarithmic.

    Args:
        results: At least one result of :func:`collect`.
        metrics: Names of the metrics.
        path: PNG file to write.
    """
    figures = optional_import('matplotlib.figure', 'matplotlib', 'The picture of label efficiency')
    figure = figures.Figure((4.6 * len(metrics), 3.8), layout='constrained')
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    for panel, metric in zip(panels, metrics):
        _draw(panel, results, metric)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.suptitle('mean and standard deviation over seeds; dots are runs', fontsize=9)
    figure.legend(handles, labels, loc='outside lower center', ncols=2 * len(panels),
                  frameon=False, fontsize=9)
    figure.savefig(str(path), dpi=130)


def _draw(panel: Any, results: DataFrame, metric: str) -> None:
    fractions = sorted(results['fraction'].unique())
    inits = initialisations(results)
    colours = itertools.cycle(COLOURS)
    lowest, highest = fractions[0] / 1.6, fractions[-1] * 1.6
    shift = (highest / lowest)**SPREAD
    for number, init in enumerate(inits):
        colour = SCRATCH_COLOUR if init == SCRATCH else next(colours)
        runs = results[results['init'] == init]
        cells = runs.groupby('fraction')[metric]
        factor = shift**(number - (len(inits) - 1) / 2)
        counts = sorted({cells.size().min(), cells.size().max()})
        panel.errorbar(cells.mean().index * factor, cells.mean(),
                       np.nan_to_num(cells.std()), color=colour, linewidth=1.6, capsize=3.5,
                       label=f"{init}, {'-'.join(map(str, counts))} runs")
        panel.plot(runs['fraction'] * factor, runs[metric], 'o', color='white',
                   markeredgecolor=colour, markersize=3.5, markeredgewidth=0.8, zorder=3)
    panel.set_xscale('log')
    panel.set_xticks(fractions, [f'{fraction:g}%' for fraction in fractions], fontsize=8)
    panel.set_xticks([], minor=True)
    panel.set_xlim(lowest, highest)
    panel.set_xlabel('labels used for fine-tuning')
    panel.set_ylabel(metric.rsplit('/', 1)[-1])
    panel.grid(color='0.88', linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ('top', 'right'):
        panel.spines[side].set_visible(False)
