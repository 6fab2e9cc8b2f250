"""Fixtures for every test."""
import importlib.util
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
def warned(monkeypatch) -> list:
    """Warnings of images and poses that are logged once, as if none had been logged before."""
    from nclr_plugin.datasets import images
    images.warn_once.cache_clear()
    logged = []
    monkeypatch.setattr(images, 'print_log', lambda text, **kwargs: logged.append(text))
    return logged


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
