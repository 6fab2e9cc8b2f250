"""Pretraining on some hundred real frames: who is held back, and a step of each config."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
pytest.importorskip('timm')
import nclr_plugin  # noqa: E402,F401
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
NAMES = ['nclr/nclr_minkunet_kitti_real', 'nclr/nclr_minkunet_kitti_real_virtual',
         'nclr/nclr_voxelnet_kitti_real', 'crossi2p/crossi2p_kitti_real']


def load(name):
    return Config.fromfile(str(CONFIGS / f'{name}.py'))


@pytest.mark.parametrize('name', NAMES)
def test_the_frames_are_the_same_and_those_held_back_are_not_trained_on(name):
    config = load(name)
    lists = [part.reader.get('frame_list') for part in config.train_dataloader.dataset.reader.parts]
    assert lists == ['ImageSets/train.txt', None, None]
    for part in ('val', 'test'):
        dataset = config[f'{part}_dataloader'].dataset
        assert dataset.reader.frame_list == 'ImageSets/val.txt'
        assert dataset.repeats == 15 and dataset.test_mode


@pytest.mark.parametrize('name', [NAMES[0], NAMES[1], NAMES[3]])
def test_scans_are_cropped_below_dams_and_mixed_in_training_alone(name):
    config = load(name)
    for part in ('train', 'val', 'test'):
        steps = {step.type: step for step in config[f'{part}_dataloader'].dataset.pipeline}
        assert ('MixScans' in steps) == (part == 'train')
        assert steps['CropPoints'].point_cloud_range[2] == -10
    train = [step.type for step in config.train_dataloader.dataset.pipeline]
    first = train.index('MixScans')
    assert train[first - 1:first + 2] == ['CropPoints', 'MixScans', 'RandomRigidTransform']
    mix = config.train_dataloader.dataset.pipeline[first]
    assert mix.pre_transform == config.train_dataloader.dataset.pipeline[0:3:2]


def virtual_cameras(dataloader):
    return [step for step in dataloader.dataset.pipeline if step.type == 'VirtualCamera']


@pytest.mark.parametrize('name', NAMES[:3])
def test_windows_get_narrow_in_training(name):
    train, = virtual_cameras(load(name).train_dataloader)
    assert train.warm_up > 0 and train.fov == (45., 90.)


def test_evaluation_is_on_whole_images_or_on_narrow_windows():
    whole, windows = (load(name).test_dataloader for name in NAMES[:2])
    assert not virtual_cameras(whole)
    test, = virtual_cameras(windows)
    assert 'warm_up' not in test and test.fov == (45., 45.)


@pytest.mark.parametrize('name', NAMES[:3:2])
def test_a_step_trains_all_but_the_frozen_encoder(name, batch):
    config = load(name)
    config.model.image_branch.weights = None
    config.model.data_preprocessor.voxel_size = (0.5, 0.5, 0.5)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    set_sparse_algorithm(model, 'cpu')
    model.train()
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    sum(losses.values()).backward()
    assert 'loss_position_free' in losses and all(value.isfinite() for value in losses.values())
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without and all(name.startswith('image_branch.encoder.') for name in without)
    assert len(without) == len(list(model.image_branch.encoder.parameters()))
