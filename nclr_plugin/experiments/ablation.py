"""Run ablations: train and evaluate configs with several seeds, and write a table and a figure."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from ..utils.optional import optional_import
from .execution import carry_out_all, quieten_configs, read_test
from .runs import (SEED_KEYS, TEST, Run, TestSet, command_line, plan_tests, provenance,
                   seed_options, title_of, variables_read)
from .tables import markdown_table, mean_and_deviation

if TYPE_CHECKING:
    from pandas import DataFrame, Series

RECALL = 'calibration/recall_10deg_5m'
STRICT_RECALL = 'calibration/recall_5deg_2m'
CONTROL = 'calibration/mismatched_image_recall_10deg_5m'
IDENTITY = 'calibration/identity_recall_10deg_5m'
COLUMNS = (  # title, format, metric
    ('recall 10 deg, 5 m', '.3f', RECALL),
    ('recall 5 deg, 2 m', '.3f', STRICT_RECALL),
    ('RRE, deg', '.3f', 'calibration/rre_geodesic_deg_median'),
    ('RTE, m', '.3f', 'calibration/rte_m_median'),
    ('mismatched image, recall 10 deg, 5 m', '.3f', CONTROL),
    ('identity, recall 10 deg, 5 m', '.3f', IDENTITY),
    ('matches < 5 px', '.3f', 'matching/{match}_accuracy_5px'),
    ('match error, px', '.2f', 'matching/{match}_error_px_mean'),
    ('overlap IoU, points', '.3f', 'overlap/point_iou'),
    ('overlap IoU, pixels', '.3f', 'overlap/pixel_iou'),
    ('samples', '.0f', 'samples'),
)
BARS = ((RECALL, 'recall 10 deg, 5 m', '#1f5fa8'),
        (STRICT_RECALL, 'recall 5 deg, 2 m', '#7fb2e5'),
        (CONTROL, 'mismatched image, 10 deg, 5 m', '#d08770'))
BAR_HEIGHT = 0.26  # rows are 1 apart


def run_ablation(configs: Sequence[str], seeds: Sequence[int], out: str, tools: Path,
                 options: Sequence[str] = (), test_sets: Sequence[Sequence[str]] = (),
                 checkpoint: str | None = None, jobs: int = 1,
                 argv: Sequence[str] = ()) -> None:
    """Train and evaluate configs with several seeds, and write ``results.csv, .md, .png``.

    Finished runs are skipped. Interrupted runs are resumed.

    Args:
        configs: Config files. Each is one row of the table.
        seeds: Random seeds.
        out: Output folder for runs and results.
        tools: Folder with ``train.py`` and ``test.py``.
        options: ``key=value`` overrides for all configs.
        test_sets: Additional test sets, each a name followed by ``key=value`` overrides.
        checkpoint: File to evaluate with each config instead of training, or ``none`` for the
            random initialisation.
        jobs: Number of runs to execute in parallel.
        argv: Command-line arguments, recorded in the results.

    Raises:
        FileNotFoundError: If a config or the checkpoint is missing.
        ValueError: If an argument is invalid or does not fit the configs.
        RunError: If runs failed. All other runs are finished first.
    """
    quieten_configs()
    tests = plan_tests(test_sets)
    runs = plan_runs(configs, seeds, out, options, checkpoint)
    for run in runs:
        for test_set in tests:
            run.load(test_set)
    command = command_line('ablation.py', argv, variables_read(runs))
    carry_out_all(runs, tests, tools, jobs, lambda: write_results(runs, tests, Path(out), command),
                  lambda run: summary(run, tests))


def plan_runs(configs: Sequence[str], seeds: Sequence[int], out: str,
              options: Sequence[str] = (), checkpoint: str | None = None) -> list[Run]:
    """Plan the runs of an ablation, ordered by seed and then by row.

    Each run is evaluated with the mismatched-image control. The arguments are those of
    :func:`run_ablation`.

    Raises:
        FileNotFoundError: If a config or the checkpoint is missing.
        ValueError: If two configs have the same file name, or the options do not fit.
    """
    paths = [Path(config) for config in configs]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such config')
        if [other.stem for other in paths].count(path.stem) > 1:
            raise ValueError(f'{path}: another config has the same file name, which is the name of '
                             'the row; rename one of them')
    if checkpoint not in (None, 'none') and not Path(checkpoint).is_file():
        raise FileNotFoundError(f'{checkpoint}: no such checkpoint; expected a .pth file, or none '
                                'for the random initialisation')
    runs = [Run(path.stem, path, seed, Path(out), (*seed_options(SEED_KEYS, seed), *options),
                checkpoint, test_flags=('--mismatched-image-control', ))
            for seed in dict.fromkeys(seeds) for path in paths]
    for run in runs:
        run.load()
    return runs


def summary(run: Run, test_sets: Sequence[TestSet]) -> str:
    """Format recall and mismatched-image control of a finished run as one line."""
    results = collect([run], test_sets).reindex(columns=['test_set', RECALL, CONTROL])
    return 'recall 10 deg, 5 m ' + ', '.join(
        f'{test_set} {recall:.3f} (mismatched image {control:.3f})'
        for test_set, recall, control in results.itertuples(index=False))


def write_results(runs: Sequence[Run], test_sets: Sequence[TestSet], out: Path,
                  command: str) -> list[Path]:
    """Write ``results.csv``, ``results.md`` and ``results.png`` of the finished runs."""
    results = collect(runs, test_sets)
    if results.empty:
        return []
    paths = [out / f'results.{kind}' for kind in ('csv', 'md', 'png')]
    paths[0].write_text(csv_text(results))
    paths[1].write_text(markdown(results, command))
    write_figure(results, paths[2])
    return paths


def collect(runs: Sequence[Run], test_sets: Sequence[TestSet]) -> DataFrame:
    """Collect the finished evaluations, ordered by row, seed and test set.

    Returns:
        One line per evaluation: ``row``, ``title`` of the row, ``seed``, ``test_set``,
        ``match`` (see :func:`match_mode`), ``samples`` (number of training samples), ``commits``,
        and one column per metric.
    """
    pandas = optional_import('pandas', purpose='The table of an ablation')
    rows = list(dict.fromkeys(run.row for run in runs))
    lines = []
    for run in sorted(runs, key=lambda run: rows.index(run.row)):
        for test_set in test_sets:
            record = read_test(run, test_set)
            if record is not None:
                lines.append(dict(
                    row=run.row, title=title_of(run.config), seed=run.seed, test_set=test_set.name,
                    match=match_mode(run.load(test_set)), samples=record['samples'],
                    commits=' '.join(record['commits']), **record['metrics']))
    return pandas.DataFrame(lines)


def match_mode(config: Any) -> str:
    """Return the matching mode of a config: ``cosine`` or ``learned``, ``_hard`` or ``_soft``."""
    head = config.model.get('matching_head') or {}
    return (f"{'learned' if head.get('alignment', True) else 'cosine'}_"
            f"{head.get('match', 'soft')}")


def metric_of(results: DataFrame, metric: str) -> Series:
    """Return one metric from the results of a row, NaN where the model does not have it.

    ``{match}`` in the name is replaced by the matching mode of the row.
    """
    return results.reindex(columns=[metric.format(match=results['match'].iloc[0])]).iloc[:, 0]


def csv_text(results: DataFrame) -> str:
    """Format results as CSV: one line per row, seed and test set, with all metrics."""
    columns = ['row', 'seed', 'test_set', 'match', 'samples', 'commits']
    metrics = sorted(results.columns.difference(['title', *columns]))
    return results.to_csv(columns=columns + metrics, index=False)


def table(results: DataFrame, test_set: str) -> list[dict]:
    """Return the table rows of one test set: mean and standard deviation over seeds."""
    groups = results[results['test_set'] == test_set].groupby('row', sort=False)
    return [{
        '': group['title'].iloc[0],
        **{title: mean_and_deviation(metric_of(group, metric), form)
           for title, form, metric in COLUMNS},
        'seeds': ' '.join(map(str, group['seed'])),
    } for _, group in groups]


def markdown(results: DataFrame, command: str) -> str:
    """Format one table per test set, followed by the provenance of the results."""
    parts = []
    test_sets = results['test_set'].unique()
    for test_set in test_sets:
        if len(test_sets) > 1:
            name = 'The test set of the configs' if test_set == TEST else f'Test set {test_set}'
            parts.append(f'### {name}')
        parts.append(markdown_table(table(results, test_set)))
    parts.append(
        'Mean +- standard deviation over seeds; RRE and RTE are medians over views. "Mismatched '
        'image": the same scans and transforms with the images of other scenes. "Identity": the '
        'baseline that predicts no motion. Matches are those of the row\'s own way of matching.')
    parts.append(provenance(' '.join(results['commits']).split(), command))
    return '\n\n'.join(parts) + '\n'


def write_figure(results: DataFrame, path: Path) -> None:
    """Draw the recall of each row, with a dot per seed, above its mismatched-image control.

    Each test set has its own panel. A black line marks the recall of the identity baseline.

    Args:
        results: At least one result of :func:`collect`.
        path: PNG file to write.
    """
    figures = optional_import('matplotlib.figure', 'matplotlib', 'The picture of an ablation')
    test_sets = results['test_set'].unique()
    titles = results.groupby('row', sort=False)['title'].first()
    figure = figures.Figure((5 + 3 * len(test_sets), 1.3 + 0.75 * len(titles)),
                            layout='constrained')
    panels = figure.subplots(1, len(test_sets), squeeze=False, sharex=True, sharey=True)[0]
    for panel, name in zip(panels, test_sets):
        members = results[results['test_set'] == name]
        _draw(panel, [members[members['row'] == row] for row in titles.index])
        if len(panels) > 1:
            panel.set_title('test set of the configs' if name == TEST else name, fontsize=10)
    panels[0].set_yticks(range(len(titles)), titles, fontsize=8)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside lower center', ncols=4, frameon=False, fontsize=8)
    figure.savefig(str(path), dpi=120)


def _draw(panel: Any, groups: list[DataFrame]) -> None:
    """Draw the mean of each row as a bar and each seed as a dot."""
    positions = np.arange(len(groups))
    for offset, (metric, label, colour) in zip((-BAR_HEIGHT, 0, BAR_HEIGHT), BARS):
        values = [group.reindex(columns=[metric])[metric].to_numpy() for group in groups]
        panel.barh(positions + offset, [_mean(value) for value in values], BAR_HEIGHT,
                   color=colour, label=label)
        for y, value in zip(positions + offset, values):
            panel.plot(value, [y] * len(value), 'o', color='white', markeredgecolor='black',
                       markersize=3.5, markeredgewidth=0.7, clip_on=False)
    panel.vlines([_mean(group.reindex(columns=[IDENTITY])[IDENTITY]) for group in groups],
                 positions - 0.45, positions + 0.45, colors='black', linewidth=1.2,
                 label='identity, 10 deg, 5 m')
    panel.set_xlim(0, 1)
    panel.set_xlabel('share of views', fontsize=8)
    panel.tick_params(axis='x', labelsize=8)
    panel.grid(axis='x', color='0.85', linewidth=0.6)
    panel.set_axisbelow(True)
    for side in ('top', 'right'):
        panel.spines[side].set_visible(False)


def _mean(values: Sequence[float]) -> float:
    """Return the mean, NaN if a value is missing."""
    return float(np.mean(np.asarray(values))) if len(values) else float('nan')
