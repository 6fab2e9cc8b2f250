"""Weights of mmdet3d's and OpenPCDet's pretraining, fine-tuned by the other on half the labels."""
import math
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow
mmdet3d = pytest.importorskip('mmdet3d')
REPO = Path(__file__).resolve().parents[2]
MIM = Path(mmdet3d.__file__).parent / '.mim'
PRETRAINING = """
_base_ = ['{config}']
reader = dict(_delete_=True, type='KittiObjectReader', frame_list='ImageSets/train.txt')
train_dataloader = dict(dataset=dict(data_root='{root}', reader=reader))
val_dataloader = dict(dataset=dict(data_root='{root}', reader=reader))
test_dataloader = val_dataloader
model = dict(
    image_branch=dict(base_channels=8, out_channels=16),
    fusion=dict(embed_dims=24, num_heads=2, num_layers=1, ffn_channels=24),
    matching_head=dict(embed_dims=16), num_samples=64)
"""
# A smaller range, and cars alone to paste, without road planes, of which this world has none.
SECOND = """
_BASE_CONFIG_: {config}
DATA_CONFIG:
    POINT_CLOUD_RANGE: [0, -12.8, -3, 25.6, 12.8, 1]
    DATA_AUGMENTOR:
        AUG_CONFIG_LIST:
            - NAME: gt_sampling
              DB_INFO_PATH: [kitti_dbinfos_train.pkl]
              PREPARE: {{filter_by_min_points: ['Car:5'], filter_by_difficulty: [-1]}}
              SAMPLE_GROUPS: ['Car:3']
              NUM_POINT_FEATURES: 4
              REMOVE_EXTRA_WIDTH: [0., 0., 0.]
MODEL: {{BACKBONE_2D: {{LAYER_NUMS: [1, 1]}}, POST_PROCESSING: {{SCORE_THRESH: 0.9}}}}
OPTIMIZATION: {{PCT_START: 0.5}}
"""


def run(script, *arguments, **variables):
    environment = dict(
        os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', **variables,
        PYTHONPATH=os.pathsep.join([str(REPO), str(MIM), os.environ.get('PYTHONPATH', '')]))
    done = subprocess.run([sys.executable, str(script), *map(str, arguments)], text=True,
                          env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def steps(number, **options):
    """Options of a run of mmdet3d of so many steps."""
    options = {
        'train_cfg.max_iters': number, 'train_cfg.val_interval': 100, 'train_cfg.val_begin': 100,
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
        'default_hooks.logger.interval': 1, **options}
    return ['--cfg-options', *(f'{key}={value}' for key, value in options.items())]


def losses_of_mmdet3d(log):
    return [float(value) for value in re.findall(r'Iter\(train\).* loss: (\S+)', log)]


def test_pretrained_in_mmdet3d_fine_tuned_in_openpcdet(run_module, kitti_root, fraction_root,
                                                       tmp_path):
    (tmp_path / 'pretrain.py').write_text(PRETRAINING.format(
        config=REPO / 'configs' / 'nclr' / 'nclr_voxelnet_demo.py', root=kitti_root))
    log = run(REPO / 'tools' / 'train.py', tmp_path / 'pretrain.py', '--work-dir',
              tmp_path / 'work', *steps(2))
    assert len(losses_of_mmdet3d(log)) == 2
    run(REPO / 'tools' / 'export_backbone.py', tmp_path / 'work' / 'iter_2.pth',
        '--to', 'openpcdet', '--out', tmp_path / 'exported.pth')

    (tmp_path / 'second.yaml').write_text(SECOND.format(
        config=REPO / 'configs' / 'pcdet' / 'second_kitti.yaml'))
    done = run_module(
        'nclr_plugin.pcdet.train', '--cfg_file', 'second.yaml', '--pretrained_model',
        'exported.pth', '--batch_size', '2', '--epochs', '2', '--workers', '0', '--wo_gpu_stat',
        '--logger_iter_interval', '1', '--num_epochs_to_eval', '1', '--set',
        'DATA_CONFIG.DATA_PATH', fraction_root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    log = done.stdout + done.stderr
    assert 'Not updated weight backbone_2d' in log and 'Not updated weight backbone_3d' not in log
    assert re.search(r'Done \(loaded 72/\d+\)', log)
    losses = [float(value) for value in re.findall(r'Train:.*?Loss: (\S+)', log)]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    assert 'Car AP_R40@0.70, 0.70, 0.70' in log
    # Frames and objects of the fraction, evaluated on all.
    assert re.findall(r'Total samples for KITTI dataset: (\d+)', log) == ['2', '4']
    cars = len(pickle.loads((fraction_root / 'kitti_dbinfos_train.pkl').read_bytes())['Car'])
    everywhere = pickle.loads((kitti_root / 'kitti_dbinfos_train.pkl').read_bytes())['Car']
    assert 0 < cars < len(everywhere)
    assert re.search(r'Database filter by min points Car: (\d+)', log)[1] == str(cars)


@pytest.fixture
def infos_of_mmdet3d(kitti_root, tmp_path):
    """The same frames with infos by mmdet3d, and half of its labels."""
    root = tmp_path / 'kitti'
    for part in ('training', 'testing'):
        (root / part).mkdir(parents=True)
        for folder in (kitti_root / part).iterdir():
            (root / part / folder.name).symlink_to(folder)
    (root / 'ImageSets').symlink_to(kitti_root / 'ImageSets')
    run(MIM / 'tools' / 'create_data.py', 'kitti', '--root-path', root, '--out-dir', root,
        '--extra-tag', 'kitti')
    run(REPO / 'tools' / 'split_detection_infos.py', root, '--fractions', '50')
    return root


def test_pretrained_in_openpcdet_fine_tuned_in_mmdet3d(pretrained_in_openpcdet, infos_of_mmdet3d,
                                                       tmp_path):
    checkpoint = pretrained_in_openpcdet[1] / 'ckpt' / 'checkpoint_epoch_1.pth'
    data = 'train_dataloader.dataset.dataset'
    options = {'model.backbone.layer_nums': '[1,1]', 'default_hooks.checkpoint.interval': 2,
               'model.init_cfg.checkpoint': checkpoint,
               f'{data}.ann_file': 'kitti_infos_train_50.pkl',
               f'{data}.pipeline.2.db_sampler.info_path':
               infos_of_mmdet3d / 'kitti_dbinfos_train_50.pkl'}
    log = run(MIM / 'tools' / 'train.py', REPO / 'configs' / 'detection' / 'second_demo.py',
              '--work-dir', tmp_path / 'work', *steps(2, **options),
              NCLR_KITTI_ROOT=str(infos_of_mmdet3d))
    assert '60 of 60 tensors match' in log
    losses = losses_of_mmdet3d(log)
    assert len(losses) == 2 and all(map(math.isfinite, losses))

    before = torch.load(checkpoint, map_location='cpu')['model_state']
    after = torch.load(tmp_path / 'work' / 'iter_2.pth', map_location='cpu')['state_dict']
    encoder = {name: tensor for name, tensor in after.items()
               if name.startswith('middle_encoder.') and name.endswith('weight')}
    change = [float((tensor - before[name.replace('middle_encoder.', 'backbone_3d.').replace(
        'encoder_layers.encoder_layer', 'conv')]).abs().max()) for name, tensor in encoder.items()]
    # Trained, and trained from there: random weights would be further away.
    assert len(change) > 20 and 0 < min(change) and max(change) < 0.02
