"""The command line of label efficiency: a fine-tuning config in, tables over fractions out."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from .execution import RunError, adopt, announce, is_finished
from .jobs import FORMS, job_line
from .label_figure import write_figure
from .label_plan import LabelRun, parse_checkpoints, plan_label_runs
from .label_report import choose_metrics, collect, csv_of_cells, csv_of_runs, markdown
from .plan import TEST, Run, TestSet, variables_read
from .provenance import command_line
from .scheduling import add_arguments, carry_out_all, positive, quieten_configs

TEST_SETS = [TestSet(TEST)]


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Fine-tune a config from scratch and from pretrained weights, on several '
        'fractions of the labels and with several seeds; evaluate the last checkpoint of each run. '
        'The same command again skips what is finished and goes on with what was interrupted.')
    parser.add_argument('config', metavar='CONFIG', help='reads NCLR_FRACTION and NCLR_CHECKPOINT')
    parser.add_argument('--checkpoint', nargs='+', default=[], metavar='[NAME=]FILE',
                        help='pretrained weights; several are several lines of the plot')
    parser.add_argument('--fractions', nargs='+', type=float, default=[1, 10, 100],
                        metavar='PERCENT', help='of the labels (default: 1 10 100)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2],
                        help='of initialisation and order; the labels are the same for all seeds '
                        '(default: 0 1 2)')
    add_arguments(parser)
    parser.add_argument('--metrics', nargs='+', default=[], metavar='NAME',
                        help='names of figures that tools/test.py writes, or shell patterns of '
                        'them (default: miou, pq, KITTI moderate AP, mAP and NDS, where they are)')
    parser.add_argument('--best', action='store_true', help='show the best run beside the mean')
    parser.add_argument('--list', choices=FORMS, dest='form',
                        help='print the runs that are left, a line each for another machine, and '
                        'carry out nothing; afterwards the command without it makes the tables')
    parser.add_argument('--gpus', type=positive, default=1,
                        help='of a listed torchrun or slurm run (default: 1); each has the batch '
                        'size of the config')
    return parser.parse_args(argv)


def main(tools: Path, argv: Optional[Sequence[str]] = None) -> None:
    """Carry out the experiment, or list its jobs.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    args = parse(argv)
    quieten_configs()
    try:
        runs = plan_label_runs(args.config, parse_checkpoints(args.checkpoint), args.fractions,
                               args.seeds, args.out, args.cfg_options)
        for _, _, run in runs:
            adopt(run, TEST_SETS[0])
        if args.form:
            print_jobs([run for _, _, run in runs], tools, args.form, args.gpus)
            return
    except (OSError, KeyError, ValueError, RunError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
    command = command_line('label_efficiency.py', sys.argv[1:] if argv is None else argv,
                           variables_read(label_run.run for label_run in runs))
    by_run = {label_run.run: label_run for label_run in runs}
    carry_out_all(list(by_run), TEST_SETS, tools, args.jobs,
                  lambda: write_results(runs, Path(args.out), args.metrics, args.best, command),
                  lambda run: summary(by_run[run], args.metrics))
    # Last, so that a misspelt name costs no run.
    try:
        choose_metrics(collect(runs), args.metrics)
    except ValueError as error:
        sys.exit(f'ValueError: {error}')


def print_jobs(runs: Sequence[Run], tools: Path, form: str, gpus: int) -> None:
    """Print a line for each run that is not finished, and prepare its folder."""
    left = [run for run in runs if not is_finished(run, TEST_SETS)]
    print(f'# {len(left)} of {len(runs)} runs are left. Each line is one, to be run in '
          f'{Path.cwd()}; they are independent.')
    for run in left:
        announce(run)
        print(job_line(run, _shortened(tools), form, gpus))


def _shortened(path: Path) -> Path:
    """A path below the working directory relative to it."""
    return path.relative_to(Path.cwd()) if Path.cwd() in path.parents else path


def summary(label_run: LabelRun, patterns: Sequence[str]) -> str:
    """Main figures of a finished run."""
    results = collect([label_run])
    try:
        return ', '.join(f'{name.rsplit("/", 1)[-1]} {results[0].get(name):.3f}'
                         for name in choose_metrics(results, patterns))
    except ValueError as error:
        return f'finished, but {error}'


def write_results(runs: Sequence[LabelRun], out: Path, patterns: Sequence[str], best: bool,
                  command: str) -> List[Path]:
    """Write what is finished: ``runs.csv`` with every figure, ``results.csv``, ``.md``, ``.png``.

    Of figures that the tests do not have, only the first can be written.

    Returns:
        The files that were written.
    """
    results = collect(runs)
    if not results:
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
