import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def toy():
    """The module toy.py, under the name by which its config imports it."""
    if 'toy' not in sys.modules:
        path = Path(__file__).with_name('toy.py')
        spec = importlib.util.spec_from_file_location('toy', path)
        sys.modules['toy'] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules['toy'])
    return sys.modules['toy']
