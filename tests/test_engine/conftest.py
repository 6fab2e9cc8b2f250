import importlib

import pytest


@pytest.fixture(scope='session')
def toy():
    """The module ``helpers/toy.py``, imported when a test asks for it."""
    return importlib.import_module('toy')
