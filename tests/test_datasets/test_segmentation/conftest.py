"""Small labelled data sets in SemanticKITTI's folders."""
import importlib.util
from pathlib import Path

import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    """Skip tests that build data sets of mmdet3d where it is not installed."""
    if importlib.util.find_spec('mmdet3d') is not None:
        return
    for item in items:
        if item.path.name == 'test_datasets.py':
            item.add_marker(pytest.mark.skip(reason='runs on mmdet3d, which is not installed'))


@pytest.fixture
def make_frame(tmp_path):
    """Function: sequence, number, raw labels -> a scan and its label file below ``tmp_path``."""

    def make(sequence, number, labels):
        labels = np.asarray(labels, dtype=np.uint32)
        folder = tmp_path / 'sequences' / sequence
        for name in ('velodyne', 'labels'):
            (folder / name).mkdir(parents=True, exist_ok=True)
        points = np.random.default_rng(number).uniform(-20, 20, (len(labels), 4))
        scan, label = (folder / 'velodyne' / f'{number:06d}.bin',
                       folder / 'labels' / f'{number:06d}.label')
        points.astype(np.float32).tofile(scan)
        labels.tofile(label)
        return Path(scan), Path(label)

    return make
