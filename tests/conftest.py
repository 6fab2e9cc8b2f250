"""Fixtures for every test."""
import os
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

# Made inside a test it would write, in all later ones, to that test's captured stream.
MMLogger.get_current_instance()
LONG = {'test_end_to_end', 'test_pcdet', 'test_packaging.py', 'test_segmentors'}


def pytest_configure(config):
    """Keep pytest-xdist from handing out files with few tests, the long ones, at last."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files that take minutes come first, so that no process ends long after the others."""
    items.sort(key=lambda item: LONG.isdisjoint(item.path.parts))


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real frames: ``shared/data`` beside the checkout, or where NCLR_SHARED_DATA points."""
    beside = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('NCLR_SHARED_DATA', beside))
    if not path.is_dir():
        pytest.skip(f'no real frames: {path} does not exist (set NCLR_SHARED_DATA)')
    return path
