"""Every fine-tuning config fits its data set and the backbone that was pretrained for it."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from nclr_plugin.engine.finetuning import (checkpoint_options, fraction_options,
                                           submission_options)
from nclr_plugin.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
BACKBONES = ('minkunet18', 'minkunet34', 'spvcnn', 'resunet18', 'resunet34')
VOXEL = dict(semantickitti=0.05, nuscenes=0.1, semanticposs=0.05)
CLASSES = dict(semantickitti=19, nuscenes=16, semanticposs=13)
EPOCHS = {0.1: 1000, 1: 500, 10: 100, 50: 50, 100: 30}  # published code


def load(name):
    config = Config.fromfile(str(CONFIGS / f'{name}.py'))
    init_default_scope('mmdet3d')
    return config


@pytest.mark.parametrize('dataset', VOXEL)
@pytest.mark.parametrize('backbone', BACKBONES)
def test_fits_data_and_pretraining(dataset, backbone, shapes):
    config = load(f'semseg/{backbone}_{dataset}')
    model = config.model
    assert model.data_preprocessor.voxel_layer.voxel_size == [VOXEL[dataset]] * 3
    assert model.decode_head.num_classes == CLASSES[dataset] == model.decode_head.ignore_index
    assert config.train_dataloader.batch_size == (8 if dataset == 'nuscenes' else 2)
    source = 'nuscenes' if dataset == 'nuscenes' else 'semantickitti'
    pretraining = load(f'nclr/nclr_{backbone}_{source}').model
    assert shapes(model.backbone) == shapes(pretraining.point_backbone)
    assert pretraining.data_preprocessor.voxel_size == (VOXEL[dataset], ) * 3


def test_demo_fits_its_pretraining(shapes):
    assert shapes(load('semseg/minkunet_demo').model.backbone) == shapes(
        load('nclr/nclr_minkunet_demo').model.point_backbone)


@pytest.mark.parametrize('dataset', VOXEL)
def test_types_are_registered(dataset):
    from mmdet3d.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
    from mmdet3d.utils import register_all_modules
    register_all_modules()
    config = load(f'semseg/minkunet34_{dataset}')
    assert MODELS.get(config.model.type) and MODELS.get(config.model.data_preprocessor.type)
    for part in ('train', 'val', 'test'):
        data = config[f'{part}_dataloader'].dataset
        assert DATASETS.get(data.type)
        assert all(TRANSFORMS.get(step.type) for step in data.pipeline)
    assert METRICS.get(config.test_evaluator.type)
    assert all(HOOKS.get(hook.type) for hook in config.custom_hooks)


@pytest.mark.parametrize('dataset, percent', [
    *(('semantickitti', percent) for percent in EPOCHS), ('nuscenes', 1), ('semanticposs', 1)])
def test_fraction_chooses_frames_and_epochs(dataset, percent):
    config = load(f'semseg/minkunet34_{dataset}')
    assert config.train_cfg.max_epochs == EPOCHS[100] and config.train_cfg.val_interval == 3
    config.merge_from_dict(fraction_options(config, percent))
    suffix = '' if percent == 100 else f'_{percent}'
    assert config.train_dataloader.dataset.ann_file == f'{dataset}_infos_train{suffix}.pkl'
    assert config.train_cfg.max_epochs == EPOCHS[percent]
    assert config.val_dataloader.dataset.ann_file == f'{dataset}_infos_val.pkl'


@pytest.mark.parametrize('dataset', VOXEL)
def test_checkpoint_and_submission_reach_the_config(dataset):
    config = load(f'semseg/spvcnn_{dataset}')
    config.merge_from_dict(checkpoint_options(config, 'weights.pth'))
    assert config.model.backbone.init_cfg.checkpoint == 'weights.pth'
    if dataset == 'semanticposs':  # has no server
        with pytest.raises(ConfigError, match="expected a config with a 'submission'"):
            submission_options(config, 'out')
        return
    config.merge_from_dict(submission_options(config, 'out'))
    assert config.test_evaluator.type.endswith('Submission')
    assert config.test_dataloader.dataset.ann_file == f'{dataset}_infos_test.pkl'
    steps = [step.type for step in config.test_dataloader.dataset.pipeline]
    assert 'LoadAnnotations3D' not in steps
    assert ('ScaleIntensity' in steps) == (dataset == 'nuscenes')
    assert config.val_evaluator.type == 'SegMetric'
    assert config.val_dataloader.dataset.ann_file == f'{dataset}_infos_val.pkl'
