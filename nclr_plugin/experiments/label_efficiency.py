"""Measure label efficiency: fine-tune on fractions of the labels and tabulate the results."""
from __future__ import annotations

import fnmatch
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence

import numpy as np

from ..utils.optional import optional_import
from .execution import (adopt, announce, carry_out_all, is_finished, job_line, quieten_configs,
                        read_test)
from .runs import CONFIG_TEST_SET, Run, command_line, provenance, seed_options, variables_read
from .tables import markdown_table, mean_and_deviation

if TYPE_CHECKING:
    from pandas import DataFrame

PRETRAINED = 'pretrained'  # name of a checkpoint given without one
SCRATCH = 'scratch'
COLUMNS = ['init', 'fraction', 'seed', 'samples_per_process', 'commits']
# Segmentation, panoptic segmentation, detection on KITTI and on nuScenes.
DEFAULT_METRICS = ('miou', 'pq', '*KITTI/Overall_3D_AP40_moderate', '*/mAP', '*/NDS')
SCRATCH_COLOUR = '#777777'
COLOURS = ('#1f5fa8', '#d08770', '#5b8c5a', '#8a5fa8')
SPREAD = 0.012  # offset between lines, share of the axis; separates the error bars


class LabelRun(NamedTuple):
    """A fine-tuning run from one initialisation on a fraction of the labels.

    Attributes:
        init: ``scratch``, or the name of a checkpoint.
        fraction: Label fraction in percent.
        run: The training and its evaluation.
    """
    init: str
    fraction: float
    run: Run


def run_label_efficiency(runs: Sequence[LabelRun], out: str, tools: Path,
                         metrics: Sequence[str] = (), best: bool = False, jobs: int = 1,
                         argv: Sequence[str] = ()) -> None:
    """Execute the runs, and write ``runs.csv`` and ``results.csv, .md, .png``.

    Finished runs are skipped. Interrupted runs are resumed.

    Args:
        runs: Runs of :func:`plan_label_runs`.
        out: Output folder for the results.
        tools: Folder with ``train.py`` and ``test.py``.
        metrics: Names of metrics, or patterns; see :func:`choose_metrics`.
        best: Whether to show the best run beside the mean.
        jobs: Number of runs to execute in parallel.
        argv: Command-line arguments, recorded in the results.

    Raises:
        ValueError: If an argument is invalid.
        RunError: If runs failed. All other runs are finished first.
    """
    for label_run in runs:
        adopt(label_run.run, CONFIG_TEST_SET)
    command = command_line('label_efficiency.py', argv,
                           variables_read(label_run.run for label_run in runs))
    by_run = {label_run.run: label_run for label_run in runs}
    carry_out_all(list(by_run), [CONFIG_TEST_SET], tools, jobs,
                  lambda: write_results(runs, Path(out), metrics, best, command),
                  lambda run: summary(by_run[run], metrics))
    choose_metrics(collect(runs), metrics)  # last, so that a misspelt name does not stop the runs


def print_jobs(runs: Sequence[LabelRun], tools: Path, form: str, gpus: int = 1) -> None:
    """Print a shell line for each unfinished run, and prepare its folder.

    Args:
        runs: Runs of :func:`plan_label_runs`.
        tools: Folder with ``train.py`` and ``test.py``.
        form: See :func:`.execution.job_line`.
        gpus: See :func:`.execution.job_line`.

    Raises:
        ValueError: If ``gpus`` is less than 1.
        RunError: If a folder contains a training run with other settings.
    """
    if Path.cwd() in tools.parents:
        tools = tools.relative_to(Path.cwd())
    for label_run in runs:
        adopt(label_run.run, CONFIG_TEST_SET)
    left = [label_run.run for label_run in runs
            if not is_finished(label_run.run, [CONFIG_TEST_SET])]
    lines = [job_line(run, tools, form, gpus) for run in left]
    print(f'# {len(left)} of {len(runs)} runs are left, one a line. They are independent; execute '
          f'them in {Path.cwd()}.')
    for run, line in zip(left, lines):
        announce(run)
        print(line)


def parse_checkpoints(words: Sequence[str]) -> dict[str, str]:
    """Parse ``FILE`` or ``NAME=FILE`` words into a mapping from names to files.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a name is used twice, is reserved, or is not a valid folder name.
    """
    checkpoints: dict[str, str] = {}
    for word in words:
        name, file = (PRETRAINED, word) if Path(word).is_file() or '=' not in word \
            else word.split('=', 1)
        if not Path(file).is_file():
            raise FileNotFoundError(f'--checkpoint {word}: no such file {file}; expected FILE or '
                                    'NAME=FILE')
        if not name or '/' in name or name == SCRATCH or name in checkpoints:
            raise ValueError(f"--checkpoint {word}: the name '{name}' is '{SCRATCH}', used twice, "
                             "empty or contains '/'; give NAME=FILE with a unique name")
        checkpoints[name] = file
    return checkpoints


def plan_label_runs(config: str, checkpoints: Mapping[str, str], fractions: Sequence[float],
                    seeds: Sequence[int], out: str,
                    options: Sequence[str] = ()) -> list[LabelRun]:
    """Plan the runs, ordered by seed and then by label fraction, smallest first.

    Args:
        config: Fine-tuning config.
        checkpoints: Checkpoint files by name. Training from scratch is always added.
        fractions: Label fractions in percent.
        seeds: Seeds of the initialisation and the order of the samples.
        out: Output folder for all runs.
        options: ``key=value`` overrides of the config.

    Raises:
        FileNotFoundError: If the config is missing.
        ValueError: If a fraction is out of range, the config cannot take a fraction or weights or
            sets ``load_from``, or the options do not fit.
    """
    quieten_configs()
    if not Path(config).is_file():
        raise FileNotFoundError(f'{config}: no such config')
    for fraction in fractions:
        if not 0 < fraction <= 100:
            raise ValueError(f'--fractions {fraction:g}: expected percent, above 0 and at most 100')
    inits: dict[str, str | None] = {SCRATCH: None, **checkpoints}
    runs = [
        LabelRun(init, fraction, Run(
            f'{init}/fraction_{fraction:g}', Path(config), seed, Path(out),
            (*seed_options(['randomness.seed'], seed), *options),
            fraction=fraction, weights=file))
        for seed in dict.fromkeys(seeds) for fraction in sorted(set(fractions))
        for init, file in inits.items()
    ]
    for label_run in runs:
        _check(label_run.run)
    return runs


def _check(run: Run) -> None:
    """Refuse a config that cannot take a fraction or weights, or would ignore the weights."""
    config = run.load()
    if config.get('load_from'):
        raise ValueError(f"{run.config} sets load_from='{config.load_from}', which a resumable "
                         'training ignores; load weights by the init_cfg of the backbone instead: '
                         "dict(type='NCLRPretrained', checkpoint=...)")


def summary(label_run: LabelRun, patterns: Sequence[str]) -> str:
    """Format the main metrics of a finished run as one line."""
    results = collect([label_run])
    try:
        return ', '.join(f'{name.rsplit("/", 1)[-1]} {results[name].iloc[0]:.3f}'
                         for name in choose_metrics(results, patterns))
    except ValueError as error:
        return f'finished; {error}'


def write_results(runs: Sequence[LabelRun], out: Path, patterns: Sequence[str], best: bool,
                  command: str) -> list[Path]:
    """Write the results of the finished runs.

    ``runs.csv`` has all metrics. ``results.csv``, ``.md`` and ``.png`` have the chosen ones, and
    are not written if the evaluations lack them.

    Returns:
        The written files.
    """
    results = collect(runs)
    if results.empty:
        return []
    paths = [out / name for name in ('runs.csv', 'results.csv', 'results.md', 'results.png')]
    paths[0].write_text(csv_of_runs(results))
    try:
        metrics = choose_metrics(results, patterns)
    except ValueError:
        return paths[:1]
    paths[1].write_text(csv_of_cells(results, metrics))
    paths[2].write_text(markdown(results, metrics, command, best))
    write_figure(results, metrics, paths[3])
    return paths


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
