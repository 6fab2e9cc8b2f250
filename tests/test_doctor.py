import re

import pytest
import torch

from nclr_plugin import doctor


def test_the_versions_are_those_that_are_installed():
    versions = dict(doctor.versions())
    assert versions['torch'].split('+')[0] == torch.__version__.split('+')[0]
    names = list(versions)
    assert names[:3] == ['nclr_plugin', 'Python', 'torch'] and names.index('numpy') > 2


def test_the_report_has_a_line_for_every_feature():
    lines = doctor.report().splitlines()
    features = [re.match('(yes|no ) +(.*?)(:|$)', line) for line in lines[-len(doctor.CHECKS):]]
    assert all(features)
    assert 'computing on' in lines[-len(doctor.CHECKS)]


def test_what_is_missing_is_named_with_its_remedy():
    finding = doctor.imports('pip install it', 'json', 'no_such_module')
    assert finding == (False, "no_such_module: No module named 'no_such_module'. pip install it")
    assert doctor.imports('', 'json') == (True, '')


def test_a_gpu_needs_compiled_operators_and_kernels_that_know_it(monkeypatch):
    ext = pytest.importorskip('mmcv.ops') and __import__('sys').modules['mmcv._ext']
    pytest.importorskip('spconv')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (12, 0))
    assert 'spconv-triton' in doctor.sparse_convolution().remark
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (9, 0))
    assert doctor.sparse_convolution().works
    monkeypatch.setattr(ext, '__file__', doctor.nclr_plugin.compat.REPLACEMENT)
    finding = doctor.operators()
    assert not finding.works and '--ops' in finding.remark
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert doctor.operators().works
