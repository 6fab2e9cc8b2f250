"""Fixtures for every test."""
import importlib.util
import logging
import multiprocessing
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

# Made inside a test it would write, in all later ones, to that test's captured stream.
MMLogger.get_current_instance()


def pytest_configure(config):
    """Keep pytest-xdist from handing out files with few tests, the long ones, at last."""
    config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)  # after a folder has marked its tests
def pytest_collection_modifyitems(items):
    """Run slow tests first, so that no process ends long after the others."""
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


def pytest_terminal_summary(terminalreporter):
    """Count the skipped tests by reason, and print the row of requirements/README.md."""
    from nclr_plugin.doctor import versions
    found = {name.split('-')[0]: version for name, version in versions()}
    found['mmcv'] = next((' '.join(pair) for pair in versions() if pair[0].startswith('mmcv')), '-')
    counts = [len(terminalreporter.stats.get(kind, ())) for kind in ('passed', 'skipped', 'failed')]
    skipped = terminalreporter.stats.get('skipped', ())
    reasons = Counter(report.longrepr[2].partition('Skipped: ')[2] for report in skipped)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f'{count:4d} skipped: {reason}')
    names = ('Python', 'torch', 'numpy', 'spconv', 'mmcv')
    cells = [found.get(name, '-') for name in names] + [str(count) for count in counts]
    terminalreporter.write_line(f'| {" | ".join(cells)} |')


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real frames: ``shared/data`` beside the checkout, or where NCLR_SHARED_DATA points."""
    beside = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('NCLR_SHARED_DATA', beside))
    if not path.is_dir():
        pytest.skip(f'no real frames: {path} does not exist (set NCLR_SHARED_DATA)')
    return path


@pytest.fixture
def log_of(monkeypatch):
    """Function: module -> list of what it logs from now on."""

    def record(module):
        lines = []
        monkeypatch.setattr(module, 'print_log', lambda text, **kwargs: lines.append(text))
        return lines

    return record


@pytest.fixture
def warned(log_of) -> list:
    """Warnings of images and poses that are logged once, as if none had been logged before."""
    from nclr_plugin.datasets import images
    images.warn_once.cache_clear()
    return log_of(images)


@pytest.fixture
def warnings():
    """Warnings of mmengine's current logger."""
    logger, lines = MMLogger.get_current_instance(), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def _work(work, rank, folder, args, queue):
    import torch
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=2)
    queue.put((rank, work(rank, *args)))


@pytest.fixture
def in_two_processes(tmp_path):
    """Function: work, arguments -> results of ``work(rank, *arguments)`` in a group of two."""

    def run(work, *args):
        context = multiprocessing.get_context('fork')  # arguments need not be pickled
        queue = context.Queue()
        processes = [context.Process(target=_work, args=(work, rank, tmp_path, args, queue))
                     for rank in range(2)]
        for process in processes:
            process.start()
        results = dict(queue.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(10)
        return results[0], results[1]

    return run


@pytest.fixture
def load_tool(monkeypatch):
    """Function: load a script of ``tools/`` as a module, whose ``main`` takes the arguments."""
    monkeypatch.setenv('OMP_NUM_THREADS', os.environ.get('OMP_NUM_THREADS', '1'))
    monkeypatch.setattr(sys, 'path', sys.path.copy())  # scripts put their checkout first

    def load(name):
        path = Path(__file__).resolve().parents[1] / 'tools' / f'{name}.py'
        spec = importlib.util.spec_from_file_location(f'tool_{name}', str(path))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
