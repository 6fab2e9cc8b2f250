"""The command line of ablations: configs and seeds in, one table and one picture out."""
from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

from .execution import Processes, RunError, carry_out, is_finished
from .figure import write_figure
from .plan import Run, TestSet, plan_runs, plan_tests
from .report import CONTROL, RECALL, collect, csv_text, markdown


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Train and evaluate configs with several seeds, and compare them. The same '
        'command again skips what is finished and goes on with what was interrupted.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='a row of the table each')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0],
                        help='of training and test data, initialisation and order (default: 0)')
    parser.add_argument('--out', required=True, help='folder of the runs, results.csv, .md, .png')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='overrides of all configs, seeds included')
    parser.add_argument('--test-set', nargs='+', action='append', default=[], dest='test_sets',
                        metavar=('NAME', 'KEY=VALUE'),
                        help='evaluate each checkpoint also with these overrides')
    parser.add_argument('--checkpoint', help='evaluate this file (or none: the random '
                        'initialisation) under each config instead of training')
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f'--jobs: expected at least 1, found {args.jobs}')
    return args


def main(tools: Path, argv: Optional[Sequence[str]] = None) -> None:
    """Carry out the ablation.

    Args:
        tools: Folder of ``train.py`` and ``test.py``.
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    args = parse(argv)
    try:
        test_sets = plan_tests(args.test_sets)
        runs = plan_runs(args.configs, args.seeds, args.out, args.cfg_options, args.checkpoint)
        for run in runs:
            for test_set in test_sets:
                run.load(test_set)
    except (OSError, ValueError) as error:
        sys.exit(f'{type(error).__name__}: {error}')
    command = command_line(sys.argv[1:] if argv is None else argv, os.environ)
    failed = carry_out_all(runs, test_sets, tools, args.jobs,
                           lambda: write_results(runs, test_sets, Path(args.out), command))
    if failed:
        sys.exit('\n'.join([f'{len(failed)} of {len(runs)} runs failed:'] +
                           [f'  {name}: {reason}' for name, reason in failed.items()]))


def command_line(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """The command to repeat an ablation, with the variables that say where data sets are."""
    roots = [f'{name}={shlex.quote(value)}' for name, value in sorted(environment.items())
             if name.startswith('NCLR_') and name.endswith('_ROOT')]
    return ' '.join([*roots, 'python tools/ablation.py', *map(shlex.quote, words)])


def carry_out_all(runs: Sequence[Run], test_sets: Sequence[TestSet], tools: Path, jobs: int,
                  write: Callable[[], object]) -> Dict[str, str]:
    """Carry out the runs that are not finished; results are written after each.

    Returns:
        Reasons of the runs that failed, by name.
    """
    left = [run for run in runs if not is_finished(run, test_sets)]
    print(f'{len(runs)} runs, {len(runs) - len(left)} of them finished before and skipped',
          flush=True)
    if len(left) < len(runs):
        write()
    failed: Dict[str, str] = {}
    processes, start = Processes(), time.monotonic()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(carry_out, run, test_sets, tools, processes): run for run in left}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                run = futures[future]
                outcome = failure(future)
                if outcome:
                    failed[run.name] = outcome
                else:
                    write()
                    outcome = summary(run, test_sets)
                print(progress(number, len(left), time.monotonic() - start, run.name, outcome),
                      flush=True)
        except KeyboardInterrupt:
            processes.stop()
            sys.exit('stopped; the same command goes on from here')
        finally:
            signal.signal(signal.SIGTERM, before)
    return failed


def failure(future: Future) -> str:
    """Why a run failed, in one line; nothing when it did not."""
    error = future.exception()
    if error is None or isinstance(error, RunError):
        return f'failed: {error}' if error else ''
    # Whatever it is, the other runs are to go on.
    return f'failed: {type(error).__name__}: {error}'


def progress(number: int, total: int, elapsed: float, name: str, outcome: str) -> str:
    """A line for a run that ended, with the time so far and an estimate of the rest."""
    rest = elapsed / number * (total - number)
    return (f'[{number}/{total}] {clock(elapsed)} {name}: {outcome}' +
            (f'; about {clock(rest)} to go' if number < total else ''))


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'


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
