"""The command line of ablations: configs and seeds in, one table and one picture out."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from .figure import write_figure
from .plan import Run, TestSet, plan_runs, plan_tests, variables_read
from .provenance import command_line
from .report import CONTROL, RECALL, collect, csv_text, markdown
from .scheduling import add_arguments, carry_out_all, quieten_configs


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Train and evaluate configs with several seeds, and compare them. The same '
        'command again skips what is finished and goes on with what was interrupted.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='a row of the table each')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0],
                        help='of training and test data, initialisation and order (default: 0)')
    add_arguments(parser)
    parser.add_argument('--test-set', nargs='+', action='append', default=[], dest='test_sets',
                        metavar=('NAME', 'KEY=VALUE'),
                        help='evaluate each checkpoint also with these overrides')
    parser.add_argument('--checkpoint', help='evaluate this file (or none: the random '
                        'initialisation) under each config instead of training')
    return parser.parse_args(argv)


def main(tools: Path, argv: Optional[Sequence[str]] = None) -> None:
    """Carry out the ablation.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    args = parse(argv)
    quieten_configs()
    try:
        test_sets = plan_tests(args.test_sets)
        runs = plan_runs(args.configs, args.seeds, args.out, args.cfg_options, args.checkpoint)
        for run in runs:
            for test_set in test_sets:
                run.load(test_set)
    except (OSError, ValueError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
    command = command_line('ablation.py', sys.argv[1:] if argv is None else argv,
                           variables_read(runs))
    carry_out_all(runs, test_sets, tools, args.jobs,
                  lambda: write_results(runs, test_sets, Path(args.out), command),
                  lambda run: summary(run, test_sets))


def summary(run: Run, test_sets: Sequence[TestSet]) -> str:
    """Recall and control of a finished run."""
    figures = [f'{result.test_set} {result.get(RECALL):.3f} (wrong image {result.get(CONTROL):.3f})'
               for result in collect([run], test_sets)]
    return 'recall 10 deg, 5 m ' + ', '.join(figures)


def write_results(runs: Sequence[Run], test_sets: Sequence[TestSet], out: Path,
                  command: str) -> List[Path]:
    """Write ``results.csv``, ``results.md`` and ``results.png`` of what is finished."""
    results = collect(runs, test_sets)
    if not results:
        return []
    paths = [out / f'results.{kind}' for kind in ('csv', 'md', 'png')]
    paths[0].write_text(csv_text(results))
    paths[1].write_text(markdown(results, command))
    write_figure(results, paths[2])
    return paths
