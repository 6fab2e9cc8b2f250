"""Carrying out a run as processes, resumably."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch

from .environment import Variables, environment
from .plan import Run, TestSet, differences, settings, training_settings
from .provenance import commit


class RunError(RuntimeError):
    """A run that failed; the message names the log."""


class Processes:
    """Child processes that end when they are told to."""

    def __init__(self) -> None:
        self._children: List[subprocess.Popen] = []
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, command: Sequence[str], log: Path, variables: Variables = ()) -> None:
        """Run a command with environment variables; its output is appended to the log.

        Raises:
            RunError: If it fails, or after :meth:`stop`.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        # Two OpenMP threads beside another busy process slow each other down many times over.
        variables = (*variables, ('OMP_NUM_THREADS', '1'))
        with log.open('ab') as output:
            with self._lock:
                if self._stopped:
                    raise RunError('stopped before it began')
                with environment(variables):
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
        """End all children and start no more."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                child.terminate()


def carry_out(run: Run, test_sets: Sequence[TestSet], tools: Path, processes: Processes) -> None:
    """Train unless that is done, then evaluate on each test set unless that is done.

    Args:
        run: The run.
        test_sets: Its evaluations.
        tools: Folder of ``train.py`` and ``test.py``.
        processes: Where the processes run.

    Raises:
        RunError: If a process fails, or the folder holds a training of other settings.
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
    """Train, from the last checkpoint if the training was interrupted."""
    announce(run)
    processes.run(run.train_command(tools), run.folder / 'train.log', run.variables)
    if trained_checkpoint(run) is None:
        raise RunError(f'the training left no checkpoint in {run.folder}; does the config have a '
                       'CheckpointHook?')
    _finish_training(run)


def announce(run: Run) -> None:
    """Keep in the run's folder which training it is for.

    Raises:
        RunError: If the folder holds a training of other settings.
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
    """Evaluate a checkpoint and keep the figures in the run's folder."""
    work = run.test_folder(test_set)
    shutil.rmtree(str(work), ignore_errors=True)
    processes.run(run.test_command(tools, test_set, checkpoint), work.parent / f'{work.name}.log',
                  run.variables)
    _keep_test(run, test_set, checkpoint)


def _keep_test(run: Run, test_set: TestSet, checkpoint: str) -> None:
    """Keep the figures that ``tools/test.py`` has written, with what they depend on."""
    work = run.test_folder(test_set)
    config = run.load(test_set)
    training = {} if run.checkpoint else _read(run.folder / 'training.json')
    _write(work.parent / f'{work.name}.json', dict(
        settings=test_settings(run, test_set),
        commits=sorted({commit(), training.get('commit', commit())}),
        samples=samples_seen(checkpoint, config.train_dataloader.batch_size),
        metrics=json.loads(written_figures(work).read_text())))


def written_figures(work: Path) -> Optional[Path]:
    """The file of figures that the last ``tools/test.py`` has left in a work directory."""
    return max(work.glob('*/*.json'), default=None)


def adopt(run: Run, test_set: TestSet) -> None:
    """Take over what an announced run's commands left that were run elsewhere, if they ended.

    They evaluate after the training is finished, so figures younger than the last checkpoint are
    those of the final one.

    Raises:
        RunError: If the folder holds a training of other settings.
    """
    record, checkpoint = _read(run.folder / 'training.json'), trained_checkpoint(run)
    figures = written_figures(run.test_folder(test_set))
    if record is None or figures is None or not Path(checkpoint or '').is_file():
        return
    _check_settings(run, record)
    if figures.stat().st_mtime >= Path(checkpoint).stat().st_mtime and not (
            record['finished'] and is_tested(run, test_set)):
        _finish_training(run)
        _keep_test(run, test_set, checkpoint)


def read_test(run: Run, test_set: TestSet) -> Optional[Dict[str, Any]]:
    """The figures of a finished evaluation, or None.

    Returns:
        ``settings``, ``commits`` (of training and evaluation), ``samples`` (training samples seen)
        and ``metrics`` (figures by name).
    """
    record = _read(run.folder / 'tests' / f'{test_set.name}.json')
    current = record is not None and record['settings'] == test_settings(run, test_set)
    return record if current else None


def is_trained(run: Run) -> bool:
    """Whether the training is finished.

    Raises:
        RunError: If the folder holds a training of other settings.
    """
    record = _read(run.folder / 'training.json')
    if record is None:
        return False
    _check_settings(run, record)
    return record['finished']


def is_tested(run: Run, test_set: TestSet) -> bool:
    """Whether this evaluation of the present checkpoint is finished."""
    return read_test(run, test_set) is not None


def is_finished(run: Run, test_sets: Sequence[TestSet]) -> bool:
    """Whether nothing is left to do; False also for a folder of other settings."""
    try:
        trained = run.checkpoint is not None or is_trained(run)
    except RunError:
        return False
    return trained and all(is_tested(run, test_set) for test_set in test_sets)


def trained_checkpoint(run: Run) -> Optional[str]:
    """The last checkpoint of the run's folder."""
    pointer = run.folder / 'last_checkpoint'
    if not pointer.is_file():
        return None
    return str(run.folder / Path(pointer.read_text().strip()).name)


def test_settings(run: Run, test_set: TestSet) -> Dict[str, str]:
    """What an evaluation depends on: the flat config and the checkpoint."""
    checkpoint = run.checkpoint or trained_checkpoint(run) or ''
    written = Path(checkpoint).stat().st_mtime if Path(checkpoint).is_file() else 0
    return dict(settings(run, test_set), checkpoint=f'{checkpoint} of {written}')


def samples_seen(checkpoint: str, batch_size: int) -> int:
    """Training samples behind a checkpoint of the Runner, trained by one process."""
    if checkpoint == 'none':
        return 0
    return batch_size * torch.load(checkpoint, map_location='cpu').get('meta', {}).get('iter', 0)


def _check_settings(run: Run, record: Dict[str, Any]) -> None:
    changed = differences(record['settings'], training_settings(run))
    if changed:
        key = changed[0]
        raise RunError(
            f"{run.folder} holds a training of other settings: {', '.join(changed[:5])}"
            f"{', ...' if len(changed) > 5 else ''} ({key} was {record['settings'].get(key)}); "
            'choose another --out, or delete the folder')


def _read(path: Path) -> Optional[Dict[str, Any]]:
    return json.loads(path.read_text()) if path.is_file() else None


def _write(path: Path, record: Dict[str, Any]) -> None:
    """Write whole or not at all: an interrupted call must not leave half a record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix('.tmp')
    unfinished.write_text(json.dumps(record, indent=1))
    os.replace(str(unfinished), str(path))
