"""Execute runs in parallel, resumable processes, or format them as shell lines."""
from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Callable, Sequence

from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import CheckpointLoader

from .runs import (CONFIG_TEST_SET, Run, TestSet, assignments, commit, differences, settings,
                   training_settings, variables_read)

FORMS = ('shell', 'torchrun', 'slurm')


class RunError(RuntimeError):
    """Raised when a run fails; the message names its log."""


class Processes:
    """Run child processes that another thread can stop."""

    def __init__(self) -> None:
        self._children: list[subprocess.Popen] = []
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path) -> None:
        """Run a command and append its output to the log.

        Raises:
            RunError: If the command fails, or :meth:`stop` was called.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('ab') as output:
            with self._lock:
                if self._stopped:
                    raise RunError('stopped before it started')
                child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                         stderr=subprocess.STDOUT)
                self._children.append(child)
            status = child.wait()
            with self._lock:
                self._children.remove(child)
        if status:
            lines = log.read_text(errors='replace').splitlines() or ['no output']
            raise RunError(f'exit status {status}, see {log}: {lines[-1]}')

    def stop(self) -> None:
        """Terminate all children and refuse to start more."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                child.terminate()


def carry_out(run: Run, test_sets: Sequence[TestSet], tools: Path, processes: Processes) -> None:
    """Train and evaluate a run, skipping the steps that are finished.

    Args:
        run: The run.
        test_sets: Test sets to evaluate on.
        tools: Folder with ``train.py`` and ``test.py``.
        processes: Runner of the child processes.

    Raises:
        RunError: If a process fails, or the folder contains a training run with other settings.
    """
    checkpoint = run.checkpoint
    if checkpoint is None:
        if not is_trained(run):
            train(run, tools, processes)
        checkpoint = trained_checkpoint(run)
    for test_set in test_sets:
        if not is_tested(run, test_set):
            test(run, test_set, checkpoint, tools, processes)


def train(run: Run, tools: Path, processes: Processes) -> None:
    """Start the training, or resume it if it was interrupted."""
    announce(run)
    processes.run(run.train_command(tools), run.folder / 'train.log')
    if trained_checkpoint(run) is None:
        raise RunError(f'the training left no checkpoint in {run.folder}; does the config have a '
                       'CheckpointHook?')
    _finish_training(run)


def announce(run: Run) -> None:
    """Record the settings of the training in the run's folder.

    Raises:
        RunError: If the folder contains a training run with other settings.
    """
    before = _read(run.folder / 'training.json')
    if before is not None:
        _check_settings(run, before)
    _write(run.folder / 'training.json',
           dict(settings=training_settings(run), commit=commit(), finished=False))


def _finish_training(run: Run) -> None:
    record = _read(run.folder / 'training.json')
    _write(run.folder / 'training.json', {**record, 'finished': True})


def test(run: Run, test_set: TestSet, checkpoint: str, tools: Path, processes: Processes) -> None:
    """Evaluate a checkpoint and store the metrics in the run's folder."""
    work = run.test_folder(test_set)
    shutil.rmtree(str(work), ignore_errors=True)
    processes.run(run.test_command(tools, test_set, checkpoint), work.parent / f'{work.name}.log')
    _store_metrics(run, test_set, checkpoint)


def _store_metrics(run: Run, test_set: TestSet, checkpoint: str) -> None:
    """Store the metrics written by ``tools/test.py``, with the settings they depend on."""
    work = run.test_folder(test_set)
    config = run.load(test_set)
    training = {} if run.checkpoint else _read(run.folder / 'training.json')
    _write(work.parent / f'{work.name}.json', dict(
        settings=test_settings(run, test_set),
        commits=sorted({commit(), training.get('commit', commit())}),
        samples=samples_seen(checkpoint, config.train_dataloader.batch_size),
        metrics=json.loads(metrics_file(work).read_text())))


def metrics_file(work: Path) -> Path | None:
    """Return the metrics file that the last ``tools/test.py`` wrote to a work directory."""
    return max(work.glob('*/*.json'), default=None)


def adopt(run: Run, test_set: TestSet) -> None:
    """Record the results of a run whose :func:`job_line` was executed elsewhere.

    A job evaluates after its training, so metrics newer than the last checkpoint belong to the
    final checkpoint. Unfinished jobs are ignored.

    Raises:
        RunError: If the folder contains a training run with other settings.
    """
    record, checkpoint = _read(run.folder / 'training.json'), trained_checkpoint(run)
    metrics = metrics_file(run.test_folder(test_set))
    if record is None or metrics is None or not Path(checkpoint or '').is_file():
        return
    _check_settings(run, record)
    if metrics.stat().st_mtime >= Path(checkpoint).stat().st_mtime and not (
            record['finished'] and is_tested(run, test_set)):
        _finish_training(run)
        _store_metrics(run, test_set, checkpoint)


def read_test(run: Run, test_set: TestSet) -> dict[str, Any] | None:
    """Return the record of a finished evaluation, or ``None``.

    Returns:
        ``settings``, ``commits`` (of training and evaluation), ``samples`` (number of training
        samples) and ``metrics`` (values by name).
    """
    record = _read(run.folder / 'tests' / f'{test_set.name}.json')
    current = record is not None and record['settings'] == test_settings(run, test_set)
    return record if current else None


def is_trained(run: Run) -> bool:
    """Return whether the training is finished.

    Raises:
        RunError: If the folder contains a training run with other settings.
    """
    record = _read(run.folder / 'training.json')
    if record is None:
        return False
    _check_settings(run, record)
    return record['finished']


def is_tested(run: Run, test_set: TestSet) -> bool:
    """Return whether this evaluation of the current checkpoint is finished."""
    return read_test(run, test_set) is not None


def is_finished(run: Run, test_sets: Sequence[TestSet]) -> bool:
    """Return whether training and all evaluations are finished with the current settings."""
    try:
        trained = run.checkpoint is not None or is_trained(run)
    except RunError:
        return False
    return trained and all(is_tested(run, test_set) for test_set in test_sets)


def trained_checkpoint(run: Run) -> str | None:
    """Return the last checkpoint in the run's folder, or ``None``."""
    pointer = run.folder / 'last_checkpoint'
    if not pointer.is_file():
        return None
    return str(run.folder / Path(pointer.read_text().strip()).name)


def test_settings(run: Run, test_set: TestSet) -> dict[str, str]:
    """Return the settings that an evaluation depends on: the flat config and the checkpoint."""
    checkpoint = run.checkpoint or trained_checkpoint(run) or ''
    written = Path(checkpoint).stat().st_mtime if Path(checkpoint).is_file() else 0
    return dict(settings(run, test_set), checkpoint=f'{checkpoint} of {written}')


def samples_seen(checkpoint: str, batch_size: int) -> int:
    """Return the number of samples that a checkpoint was trained on, in a single process."""
    if checkpoint == 'none':
        return 0
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    return batch_size * content.get('meta', {}).get('iter', 0)


def _check_settings(run: Run, record: dict[str, Any]) -> None:
    changed = differences(record['settings'], training_settings(run))
    if changed:
        key = changed[0]
        raise RunError(
            f"{run.folder} contains a training with other settings: {', '.join(changed[:5])}"
            f"{', ...' if len(changed) > 5 else ''} ({key} was {record['settings'].get(key)}); "
            'choose another --out, or delete the folder')


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def _write(path: Path, record: dict[str, Any]) -> None:
    """Write a record atomically, so that an interruption leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix('.tmp')
    unfinished.write_text(json.dumps(record, indent=1))
    os.replace(str(unfinished), str(path))


def quieten_configs() -> None:
    """Silence the messages of mmengine and pkg_resources whenever a config is read."""
    MMLogger.get_current_instance().setLevel('WARNING')
    warnings.filterwarnings('ignore', message='pkg_resources is deprecated')


def carry_out_all(runs: Sequence[Run], test_sets: Sequence[TestSet], tools: Path, jobs: int,
                  write: Callable[[], object], summarize: Callable[[Run], str]) -> None:
    """Execute the unfinished runs.

    Args:
        runs: All runs.
        test_sets: Test sets to evaluate on.
        tools: Folder with ``train.py`` and ``test.py``.
        jobs: Number of runs to execute in parallel.
        write: Called after each run to write the results so far.
        summarize: Returns the main metrics of a finished run in one line.

    Raises:
        ValueError: If ``jobs`` is less than 1.
        RunError: If interrupted, or if runs failed; the other runs are finished first.
    """
    if jobs < 1:
        raise ValueError(f'--jobs {jobs}: expected at least 1')
    left = [run for run in runs if not is_finished(run, test_sets)]
    print(f'{len(runs)} runs, {len(runs) - len(left)} of them already finished', flush=True)
    if len(left) < len(runs):
        write()
    failed: dict[str, str] = {}
    written = True
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
                    try:  # whatever is wrong with the tables must not stop the runs
                        write()
                        written, outcome = True, summarize(run)
                    except Exception as error:
                        written, outcome = False, (
                            f'finished; results not written: {type(error).__name__}: {error}')
                print(progress(number, len(left), time.monotonic() - start, run.name, outcome),
                      flush=True)
        except KeyboardInterrupt:
            processes.stop()
            raise RunError('interrupted; repeat the command to resume') from None
        finally:
            signal.signal(signal.SIGTERM, before)
    if not written:
        write()
    if failed:
        raise RunError('\n'.join([f'{len(failed)} of {len(runs)} runs failed:'] +
                                 [f'  {name}: {reason}' for name, reason in failed.items()]))


def failure(future: Future) -> str:
    """Return in one line why a run failed, an empty string if it succeeded."""
    error = future.exception()
    if error is None or isinstance(error, RunError):
        return f'failed: {error}' if error else ''
    # Other errors must not stop the remaining runs.
    return f'failed: {type(error).__name__}: {error}'


def progress(number: int, total: int, elapsed: float, name: str, outcome: str) -> str:
    """Format a line for a finished run, with the elapsed and the estimated remaining time."""
    rest = elapsed / number * (total - number)
    return (f'[{number}/{total}] {clock(elapsed)} {name}: {outcome}' +
            (f'; about {clock(rest)} left' if number < total else ''))


def clock(seconds: float) -> str:
    """Format seconds as h:mm:ss."""
    minutes, seconds = divmod(int(seconds), 60)
    return f'{minutes // 60}:{minutes % 60:02d}:{seconds:02d}'


def job_line(run: Run, tools: Path, form: str, gpus: int = 1) -> str:
    """Return a shell line that trains and then evaluates the last checkpoint.

    Executing the line again resumes an interrupted training.

    Args:
        run: The run.
        tools: Folder with ``train.py`` and ``test.py``.
        form: ``shell`` for one process, ``torchrun`` for one process per GPU of a machine, or
            ``slurm`` for ``srun`` as in mmdet3d's scripts, with extra arguments in ``$SRUN_ARGS``.
        gpus: Number of ``torchrun`` or ``slurm`` processes, each with the config's batch size.

    Raises:
        ValueError: If ``gpus`` is less than 1.
    """
    if gpus < 1:
        raise ValueError(f'--gpus {gpus}: expected at least 1')
    last = f'"$(cat {shlex.quote(str(run.folder / "last_checkpoint"))})"'
    train = _launched(run.train_command(tools), run, form, gpus)
    test = _launched(run.test_command(tools, CONFIG_TEST_SET, last), run, form, gpus, raw=last)
    exported = assignments(variables_read([run]))
    export = f"export {' '.join(exported)}; " if exported else ''
    return f'( {export}{train} && {test} )'


def _launched(command: Sequence[str], run: Run, form: str, gpus: int, raw: str = '') -> str:
    """Adapt a command to a launcher.

    Args:
        command: Words of the command. The first, the Python of this machine, is replaced.
        run: The run that the Slurm job is named after.
        form: See :func:`job_line`.
        gpus: See :func:`job_line`.
        raw: Word to leave unquoted.
    """
    before: list[str] = ['python']
    after: list[str] = []
    if form == 'torchrun':
        before = ['torchrun', '--standalone', '--nproc_per_node', str(gpus)]
        after = ['--launcher', 'pytorch']
    elif form == 'slurm':
        node = min(gpus, 8)
        before = ['srun', f"--job-name={run.row.replace('/', '_')}_{run.seed}",
                  f'--gres=gpu:{node}', f'--ntasks={gpus}', f'--ntasks-per-node={node}',
                  '--kill-on-bad-exit=1', '$SRUN_ARGS', 'python', '-u']
        after = ['--launcher', 'slurm']
    words = [word if word == raw else shlex.quote(word) for word in command[1:]]
    return ' '.join([*before, *words, *after])
