"""Fixtures for every test."""
import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Real frames: ``shared/data`` beside the checkout, or where NCLR_SHARED_DATA points."""
    beside = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    path = Path(os.environ.get('NCLR_SHARED_DATA', beside))
    if not path.is_dir():
        pytest.skip(f'no real frames: {path} does not exist (set NCLR_SHARED_DATA)')
    return path
