"""Command lines and configs on their way to OpenPCDet."""
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nclr_plugin.pcdet.launcher import absolute_paths, config_loader

REPO = Path(__file__).resolve().parents[2]


def _merge(config, new):
    config.update(new)
    return config


def test_paths_that_exist_become_absolute(tmp_path, write_files):
    write_files(tmp_path, {'a.yaml': '', 'w.pth': '', 'data/x': '', 'default': ''})
    argv = ['--cfg_file', 'a.yaml', '--pretrained_model=w.pth', '--extra_tag', 'default',
            '--ckpt', 'elsewhere.pth', '--set', 'DATA_CONFIG.DATA_PATH', 'data', 'A.B', 'a.yaml']
    assert absolute_paths(argv, tmp_path) == [
        '--cfg_file', f'{tmp_path}/a.yaml', '--pretrained_model', f'{tmp_path}/w.pth',
        '--extra_tag', 'default', '--ckpt', 'elsewhere.pth', '--set', 'DATA_CONFIG.DATA_PATH',
        f'{tmp_path}/data', 'A.B', 'a.yaml']


def test_bases_are_found_and_expanded(tmp_path, write_files):
    write_files(tmp_path, {
        'tools/cfgs/data.yaml': 'PATH: p\nRANGE: [0, 1]\nSPLIT: {train: a, test: b}',
        'tools/cfgs/model.yaml': 'DATA:\n  _BASE_CONFIG_: cfgs/data.yaml\n  RANGE: [2]\nX: 1',
        'own/base.yaml': '_BASE_CONFIG_: cfgs/model.yaml\nX: 2',
        'own/leaf.yaml': '_BASE_CONFIG_: base.yaml\nDATA: {SPLIT: {test: c}}'})
    load = config_loader(_merge, [tmp_path / 'tools', tmp_path / 'nowhere'])
    assert load(str(tmp_path / 'own/leaf.yaml'), dict(LOCAL_RANK=0)) == dict(
        LOCAL_RANK=0, X=2, DATA=dict(PATH='p', RANGE=[2], SPLIT=dict(train='a', test='c')))


def test_missing_configs_are_named(tmp_path, write_files):
    write_files(tmp_path, {'a.yaml': '_BASE_CONFIG_: cfgs/b.yaml', 'list.yaml': '- 1'})
    load = config_loader(_merge, [tmp_path / 'tools'])
    with pytest.raises(FileNotFoundError, match=r"a.yaml: _BASE_CONFIG_ 'cfgs/b.yaml'.*tools"):
        load(str(tmp_path / 'a.yaml'), {})
    with pytest.raises(FileNotFoundError, match='--cfg_file none.yaml'):
        load('none.yaml', {})
    with pytest.raises(ValueError, match='expected a mapping of keys, found list'):
        load(str(tmp_path / 'list.yaml'), {})


CHECKOUT = {
    'pcdet/__init__.py': '',
    'pcdet/config.py': 'def merge_new_config(config, new):\n    config.update(new)\n'
                       'def cfg_from_yaml_file(cfg_file, config):\n    raise AssertionError\n',
    'pcdet/datasets/__init__.py': 'class DatasetTemplate: pass\n__all__ = {"Host": 1}',
    'pcdet/models/__init__.py': '',
    'pcdet/models/detectors/__init__.py':
        'from torch import nn\nclass Detector3DTemplate(nn.Module): pass\n__all__ = {"Host": 1}',
    'tools/test.py': 'WHOSE = "the tool beside it"',
    'tools/train.py': '''
import os, sys
from test import WHOSE
from pcdet.config import cfg_from_yaml_file
from pcdet import datasets
from pcdet.models import detectors
config = {}
cfg_from_yaml_file(sys.argv[sys.argv.index('--cfg_file') + 1], config)
print(__name__, os.getcwd(), WHOSE, config, sorted(datasets.__all__), sorted(detectors.__all__))
print(sys.argv)
''',
    'tools/cfgs/base.yaml': 'A: 1',
}


def _run(tmp_path, *argv, **variables):
    return subprocess.run(
        [sys.executable, '-m', 'nclr_plugin.pcdet.train', *argv], cwd=tmp_path, text=True,
        env=dict(os.environ, PYTHONPATH=str(REPO), OMP_NUM_THREADS='1', **variables),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_runs_the_hosts_tool_from_anywhere(tmp_path, write_files):
    pytest.importorskip('spconv')
    host = write_files(tmp_path / 'host', CHECKOUT)
    write_files(tmp_path, {'my/a.yaml': '_BASE_CONFIG_: cfgs/base.yaml\nB: 2'})
    done = _run(tmp_path, '--cfg_file', 'my/a.yaml', '--any_flag', OPENPCDET_ROOT=str(host))
    assert done.returncode == 0, done.stderr
    first, argv = done.stdout.splitlines()[-2:]
    assert first == (f"__main__ {host}/tools the tool beside it {{'A': 1, 'B': 2}} "
                     "['Host', 'NCLRCalibrationDataset'] ['Host', 'NCLRPretrain']")
    assert argv == str([f'{host}/tools/train.py', '--cfg_file', f'{tmp_path}/my/a.yaml',
                        '--any_flag'])


def test_ends_with_one_sentence_without_openpcdet(tmp_path):
    done = _run(tmp_path, '--cfg_file', 'x.yaml', OPENPCDET_ROOT=str(tmp_path / 'none'))
    assert done.returncode == 1
    assert done.stderr.strip().startswith('FileNotFoundError: OPENPCDET_ROOT is')
    assert len(done.stderr.strip().splitlines()) == 1
