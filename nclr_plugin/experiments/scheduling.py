"""Carrying out many runs, several at a time, and saying how far they are."""
from __future__ import annotations

import argparse
import signal
import sys
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Callable, Dict, Sequence

from mmengine.logging import MMLogger

from .execution import Processes, RunError, carry_out, is_finished
from .plan import Run, TestSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that all command lines over many runs have."""
    parser.add_argument('--out', required=True, help='folder of the runs, results.csv, .md, .png')
    parser.add_argument('--jobs', type=positive, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='overrides of all configs, seeds included')


def quieten_configs() -> None:
    """Silence what mmengine says each time that a config is read.

    It reports the variables that it fills in, and reloads pkg_resources, which says that it is
    outdated.
    """
    MMLogger.get_current_instance().setLevel('WARNING')
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')


def positive(word: str) -> int:
    """A number of a command line that is at least 1."""
    if not word.isdigit() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, found '{word}'")
    return int(word)


def carry_out_all(runs: Sequence[Run], test_sets: Sequence[TestSet], tools: Path, jobs: int,
                  write: Callable[[], object], summarize: Callable[[Run], str]) -> None:
    """Carry out the runs that are not finished.

    Args:
        runs: All runs.
        test_sets: Their evaluations.
        tools: Folder of ``train.py`` and ``test.py``.
        jobs: Runs at a time.
        write: Called after each run, to write the results so far.
        summarize: Main figures of a finished run, in one line.

    Raises:
        SystemExit: If it was interrupted, or runs failed; all others are carried out before.
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
                    outcome = summarize(run)
                print(progress(number, len(left), time.monotonic() - start, run.name, outcome),
                      flush=True)
        except KeyboardInterrupt:
            processes.stop()
            sys.exit('stopped; the same command goes on from here')
        finally:
            signal.signal(signal.SIGTERM, before)
    if failed:
        sys.exit('\n'.join([f'{len(failed)} of {len(runs)} runs failed:'] +
                           [f'  {name}: {reason}' for name, reason in failed.items()]))


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
