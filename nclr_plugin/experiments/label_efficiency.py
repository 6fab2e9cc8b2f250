"""Measure label efficiency: fine-tune on fractions of the labels and tabulate the results."""
from __future__ import annotations

from pathlib import Path
from typing import Mapping, NamedTuple, Sequence

from .execution import adopt, announce, carry_out_all, is_finished, job_line, quieten_configs
from .label_report import (SCRATCH, choose_metrics, collect, csv_of_cells, csv_of_runs, markdown,
                           write_figure)
from .runs import CONFIG_TEST_SET, Run, command_line, seed_options, variables_read

PRETRAINED = 'pretrained'  # name of a checkpoint given without one


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
        metrics: Names of metrics, or patterns; see :func:`.label_report.choose_metrics`.
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
    choose_metrics(collect(runs), metrics)  # checked last: a misspelt name must cost no run


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
        return f'finished, but {error}'


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
