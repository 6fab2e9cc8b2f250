"""A missing, incomplete or unbuilt OpenPCDet, and its configs as plain dictionaries."""
import sys
from types import ModuleType, SimpleNamespace

import pytest

from nclr_plugin.pcdet import find_openpcdet, register
from nclr_plugin.pcdet.openpcdet import plain

TOOL = {'tools/train.py': ''}
PACKAGE = {'pcdet/__init__.py': '', 'pcdet/datasets/__init__.py': '',
           'pcdet/models/__init__.py': ''}


def test_absent(no_pcdet):
    for function in (find_openpcdet, register):
        with pytest.raises(ImportError, match='OpenPCDet is not found: set OPENPCDET_ROOT to'):
            function()


def test_variable_names_no_checkout(no_pcdet, monkeypatch, tmp_path):
    monkeypatch.setenv('OPENPCDET_ROOT', str(tmp_path))
    for function in (find_openpcdet, register):
        with pytest.raises(FileNotFoundError, match='tools/train.py there, found none') as info:
            function()
        assert str(tmp_path) in str(info.value)


def test_variable_comes_before_the_installed_package(no_pcdet, monkeypatch, tmp_path, write_files):
    installed = write_files(tmp_path / 'installed', {**TOOL, **PACKAGE})
    named = write_files(tmp_path / 'named', TOOL)
    monkeypatch.syspath_prepend(str(installed))
    assert find_openpcdet() == installed
    monkeypatch.setenv('OPENPCDET_ROOT', str(named))
    assert find_openpcdet() == named


def test_package_without_its_checkout(no_pcdet, monkeypatch, tmp_path, write_files):
    monkeypatch.syspath_prepend(str(write_files(tmp_path, PACKAGE)))
    with pytest.raises(FileNotFoundError, match='without its tools'):
        find_openpcdet()


@pytest.mark.parametrize('broken', [
    {'pcdet/__init__.py': 'from .version import __version__'},
    {'pcdet/datasets/__init__.py': 'from pcdet.ops.iou3d_nms import iou3d_nms_cuda',
     'pcdet/ops/__init__.py': '', 'pcdet/ops/iou3d_nms/__init__.py': ''},
    {'pcdet/models/__init__.py': 'raise ImportError("iou3d_nms_cuda.so: undefined symbol: _Z")'},
], ids=['no version', 'no extension', 'extension of another torch'])
def test_not_built(broken, no_pcdet, monkeypatch, tmp_path, write_files):
    root = write_files(tmp_path, {**TOOL, **PACKAGE, **broken})
    monkeypatch.setenv('OPENPCDET_ROOT', str(root))
    with pytest.raises(ImportError, match='is not built for this environment') as info:
        register()
    assert 'python setup.py develop' in str(info.value) and str(root) in str(info.value)
    assert '\n' not in str(info.value)


def test_a_package_is_missing(no_pcdet, monkeypatch, tmp_path, write_files):
    monkeypatch.setenv('OPENPCDET_ROOT', str(write_files(
        tmp_path, {**TOOL, **PACKAGE, 'pcdet/datasets/__init__.py': 'import no_such_package'})))
    with pytest.raises(ImportError, match=r"needs no_such_package.*nclr_plugin\[pcdet\]"):
        register()
    assert 'pcdet.datasets' not in sys.modules


class Easy(dict):
    """Has its keys as attributes, too, as EasyDict."""


def test_plain_copies_all_levels():
    node = Easy(a=[Easy(b=1)], c=(Easy(d='e'), ))
    copy = plain(node)
    assert copy == dict(a=[dict(b=1)], c=[dict(d='e')])
    assert type(copy) is type(copy['a'][0]) is type(copy['c'][0]) is dict
    assert copy['a'] is not node['a']


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
    monkeypatch.setattr('nclr_plugin.pcdet.import_openpcdet', lambda: None)
    return datasets, detectors


def test_adds_its_classes_to_openpcdets(openpcdet):
    datasets, detectors = openpcdet
    for _ in range(2):  # again does no harm
        register()
        assert datasets.__all__ == {'Theirs': None, 'NCLRCalibrationDataset': 'the data set'}
        assert detectors.__all__ == {'Theirs': None, 'NCLRPretrain': 'the detector'}


@pytest.mark.slow
def test_the_real_openpcdet_has_them(pretraining):
    assert pretraining['registered'] == [True, True]
