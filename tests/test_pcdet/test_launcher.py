"""Command lines and configs on their way to OpenPCDet."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nclr_plugin.checkpoints import PretrainedWeightsError
from nclr_plugin.pcdet.launcher import (absolute_paths, check_pretrained_model, config_loader,
                                        read_encoder, require_shapes)

REPO = Path(__file__).resolve().parents[2]
NAME = 'backbone_3d.conv2.0.0.weight'
KERNEL = torch.zeros(32, 3, 3, 3, 16)


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
    'pcdet/config.py': 'cfg = {}\n'
                       'def merge_new_config(config, new):\n    config.update(new)\n'
                       'def cfg_from_yaml_file(cfg_file, config):\n    raise AssertionError\n',
    'pcdet/datasets/__init__.py': 'class DatasetTemplate: pass\n__all__ = {"Host": 1}',
    'pcdet/models/__init__.py': '',
    'pcdet/models/detectors/__init__.py':
        '''
from torch import nn
class VoxelBackBone8x(nn.Linear):
    pass
class Detector3DTemplate(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone_3d = VoxelBackBone8x(4, 2)
    def load_params_from_file(self, filename, logger):
        print('loaded', filename)
__all__ = {"Host": 1}
''',
    'tools/test.py': 'WHOSE = "the tool beside it"',
    'tools/train.py': '''
import os, sys
from test import WHOSE
from pcdet.config import cfg, cfg_from_yaml_file
from pcdet import datasets
from pcdet.models import detectors
cfg_from_yaml_file(sys.argv[sys.argv.index('--cfg_file') + 1], cfg)
if '--pretrained_model' in sys.argv:
    detectors.Detector3DTemplate().load_params_from_file(
        filename=sys.argv[sys.argv.index('--pretrained_model') + 1], logger=None)
print(__name__, os.getcwd(), WHOSE, cfg, sorted(datasets.__all__), sorted(detectors.__all__))
print(sys.argv)
''',
    'tools/cfgs/base.yaml': 'A: 1',
}


def _run(tmp_path, *argv, **variables):
    return subprocess.run(
        [sys.executable, '-m', 'nclr_plugin.pcdet.train', *argv], cwd=tmp_path, text=True,
        env=dict(os.environ, PYTHONPATH=str(REPO), OMP_NUM_THREADS='1', **variables),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_runs_openpcdets_tool_from_anywhere(tmp_path, write_files):
    pytest.importorskip('spconv')
    checkout = write_files(tmp_path / 'checkout', CHECKOUT)
    write_files(tmp_path, {'my/a.yaml': '_BASE_CONFIG_: cfgs/base.yaml\nB: 2'})
    done = _run(tmp_path, '--cfg_file', 'my/a.yaml', '--any_flag', OPENPCDET_ROOT=str(checkout))
    assert done.returncode == 0, done.stderr
    first, argv = done.stdout.splitlines()[-2:]
    assert first == (f"__main__ {checkout}/tools the tool beside it {{'A': 1, 'B': 2}} "
                     "['Host', 'NCLRCalibrationDataset'] ['Host', 'NCLRPretrain']")
    assert argv == str([f'{checkout}/tools/train.py', '--cfg_file', f'{tmp_path}/my/a.yaml',
                        '--any_flag'])


def test_ends_with_one_sentence_without_openpcdet(tmp_path):
    done = _run(tmp_path, '--cfg_file', 'x.yaml', OPENPCDET_ROOT=str(tmp_path / 'none'))
    assert done.returncode == 1
    assert done.stderr.strip().startswith('FileNotFoundError: OPENPCDET_ROOT is')
    assert len(done.stderr.strip().splitlines()) == 1


SECOND = '''
DATA_CONFIG:
    POINT_CLOUD_RANGE: [0, -40, -3, 70.4, 40, 1]
    DATA_PROCESSOR: [{NAME: shuffle}, {NAME: voxels, VOXEL_SIZE: [0.05, 0.05, 0.1]}]
'''


@pytest.fixture
def train_second(tmp_path, write_files):
    """Trains a detector of the made-up OpenPCDet from a checkpoint."""
    pytest.importorskip('spconv')
    checkout = write_files(tmp_path / 'checkout', CHECKOUT)
    write_files(tmp_path, {'second.yaml': SECOND})

    def run(checkpoint):
        torch.save(checkpoint, tmp_path / 'w.pth')
        return _run(tmp_path, '--cfg_file', 'second.yaml', '--pretrained_model', 'w.pth',
                    OPENPCDET_ROOT=str(checkout))

    return run


def test_a_checkpoint_without_the_encoder_ends_with_one_sentence(train_second):
    done = train_second(dict(meta={}, state_dict={
        'backbone.conv_input.0.0.weight': torch.zeros(1)}))
    assert done.returncode == 1 and not done.stdout
    assert len(done.stderr.strip().splitlines()) == 1
    assert "w.pth: expected 'model_state' with backbone_3d.*" in done.stderr
    assert 'found a MinkUNet' in done.stderr


def test_an_encoder_for_other_voxels_trains_with_a_warning(train_second, tmp_path):
    state = dict(voxel_size=torch.tensor([.1, .1, .1]),
                 point_cloud_range=torch.tensor([-51.2, -51.2, -3, 51.2, 51.2, 2]))
    state.update({f'backbone_3d.{name}': tensor
                  for name, tensor in torch.nn.Linear(4, 2).state_dict().items()})
    done = train_second(dict(model_state=state))
    assert done.returncode == 0, done.stderr
    assert f'loaded {tmp_path}/w.pth' in done.stdout
    log = done.stdout + done.stderr
    assert log.count('WARNING') == 2 and "'--pretrained_model'" in log
    assert 'voxels of (0.1, 0.1, 0.1) m, this detector has voxels of (0.05, 0.05, 0.1) m' in log
    assert '51.2, 2.0), this detector has (0.0, -40.0, -3.0, 70.4, 40.0, 1.0)' in log


@pytest.fixture
def save(tmp_path):
    """Writes a checkpoint, and returns its path."""

    def write(content):
        torch.save(content, tmp_path / 'w.pth')
        return str(tmp_path / 'w.pth')

    return write


@pytest.mark.parametrize('content, words', [
    (dict(state_dict={'middle_encoder.encoder_layers.encoder_layer1.0.0.weight': KERNEL}),
     'found a SparseEncoder .*; write one by python tools/export_backbone.py'),
    (dict(state_dict={NAME: KERNEL}), r'found a Voxel\(Res\)BackBone8x .*; write one by'),
    (dict(model_state={'stem.0.kernel': KERNEL}), 'found a MinkUNet, .*; take a checkpoint of a'),
    (dict(model_state={'vfe.weight': KERNEL}), 'found no known network, .*vfe.weight'),
    (dict(epoch=3), "found \\['epoch'\\]"),
])
def test_files_without_the_encoder_are_refused(content, words, save):
    with pytest.raises(PretrainedWeightsError, match=words):
        read_encoder(save(content))


def test_the_encoder_alone_is_read(save):
    state = {NAME: KERNEL, 'dense_head.weight': KERNEL}
    assert list(read_encoder(save(dict(model_state=state)))) == [NAME]


def test_other_shapes_are_refused_with_both():
    own = {NAME: KERNEL, 'backbone_3d.conv2.0.1.weight': torch.zeros(32)}
    require_shapes('w.pth', {**own, NAME: KERNEL.permute(1, 2, 3, 4, 0)}, own)  # of spconv 1
    with pytest.raises(PretrainedWeightsError, match=r'found 1 missing or of another shape, first '
                       rf'{NAME}, \(32, 3, 3, 3, 16\) in the detector, \(32, 3, 3, 3, 5\) in'):
        require_shapes('w.pth', {**own, NAME: KERNEL[..., :5]}, own)
    with pytest.raises(PretrainedWeightsError, match=r'2.0.1.weight, \(32,\) in .*, none in the'):
        require_shapes('w.pth', {NAME: KERNEL}, own)


def test_detectors_without_a_sparse_encoder_are_left_alone():
    class VoxelBackBone8x(nn.Linear):
        """Of the name of OpenPCDet's encoder."""

    for other in (nn.Module(), nn.ModuleDict(dict(backbone_3d=nn.Linear(4, 2)))):
        check_pretrained_model('none.pth', other, {})  # which is not read
    with pytest.raises(FileNotFoundError, match='none.pth'):
        check_pretrained_model(
            'none.pth', nn.ModuleDict(dict(backbone_3d=VoxelBackBone8x(4, 2))), {})
