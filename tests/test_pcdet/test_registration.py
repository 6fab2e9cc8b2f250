"""The classes that OpenPCDet's YAML can name."""
import sys
from types import ModuleType, SimpleNamespace

import pytest

from nclr_plugin.pcdet import registration


@pytest.fixture
def openpcdet(monkeypatch):
    """A made-up OpenPCDet whose import succeeds, and this project's classes for it."""
    datasets, detectors = (SimpleNamespace(__all__={'Theirs': None}) for _ in range(2))
    made_up = {name: ModuleType(name) for name in (
        'pcdet', 'pcdet.models', 'nclr_plugin.pcdet.calibration_dataset',
        'nclr_plugin.pcdet.pretrain_detector')}
    made_up['pcdet'].datasets, made_up['pcdet.models'].detectors = datasets, detectors
    made_up['nclr_plugin.pcdet.calibration_dataset'].NCLRCalibrationDataset = 'the data set'
    made_up['nclr_plugin.pcdet.pretrain_detector'].NCLRPretrain = 'the detector'
    for name, module in made_up.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(registration, 'import_openpcdet', lambda: None)
    return datasets, detectors


def test_adds_its_classes_to_openpcdets(openpcdet):
    datasets, detectors = openpcdet
    for _ in range(2):  # again does no harm
        registration.register()
        assert datasets.__all__ == {'Theirs': None, 'NCLRCalibrationDataset': 'the data set'}
        assert detectors.__all__ == {'Theirs': None, 'NCLRPretrain': 'the detector'}


@pytest.mark.slow
def test_the_real_openpcdet_has_them(pretraining):
    assert pretraining['registered'] == [True, True]
