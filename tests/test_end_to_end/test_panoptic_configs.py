"""The panoptic configs are what the paper and the code of its baseline say (section 4.4)."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from nclr_plugin.engine.finetuning import (checkpoint_options, fraction_options,
                                           submission_options)
from nclr_plugin.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
NAMES = ('minkunet34_semantickitti', 'minkunet34_nuscenes', 'minkunet34_nuscenes_mini')
VARIABLES = ('NCLR_NUSCENES_ROOT', 'NCLR_NUSCENES_MINI_ROOT')


@pytest.fixture
def load(monkeypatch):
    """Function: name, variables -> config."""

    def read(name, **variables):
        for variable in VARIABLES:
            monkeypatch.delenv(variable, raising=False)
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        init_default_scope('mmdet3d')
        return Config.fromfile(str(CONFIGS / f'{name}.py'))

    return read


@pytest.mark.parametrize('name', NAMES)
def test_schedule(name, load):
    config = load(f'panoptic/{name}')
    assert config.train_cfg.type == 'EpochBasedTrainLoop' and config.train_cfg.max_epochs == 50
    optimizer = config.optim_wrapper
    assert optimizer.optimizer.type == 'AdamW' and optimizer.optimizer.lr == 0.2
    assert optimizer.clip_grad == dict(max_norm=0.5)
    assert config.train_dataloader.batch_size == 8 and optimizer.accumulative_counts == 4
    warm_up, decay = config.param_scheduler
    assert warm_up.type == 'LinearLR' and decay.type == 'CosineAnnealingLR'
    assert warm_up.begin == 0 < warm_up.end == decay.begin < decay.end == 50


@pytest.mark.parametrize('name', NAMES)
def test_losses_and_clustering(name, load):
    model = load(f'panoptic/{name}').model
    semantic, offset = model.decode_head, model.offset_head.loss_offset
    assert semantic.loss_decode.type == 'mmdet.CrossEntropyLoss'
    assert offset.type == 'mmdet.L1Loss'
    assert [semantic.loss_decode.loss_weight, semantic.lovasz_weight, offset.loss_weight] == [
        2, 6, 1]
    assert model.test_cfg == dict(bandwidth=1.2, min_points=50)


@pytest.mark.parametrize('name', NAMES)
def test_fraction_picks_the_infos(name, load):
    dataset = 'nuscenes' if 'nuscenes' in name else 'semantickitti'
    for percent, suffix in ((100, ''), (10, '_10'), (0.1, '_0.1')):
        config = load(f'panoptic/{name}', NCLR_NUSCENES_MINI_ROOT='mini',
                      NCLR_NUSCENES_ROOT='full')
        config.merge_from_dict(fraction_options(config, percent))
        train = config.train_dataloader.dataset
        assert train.ann_file == f'{dataset}_infos_train{suffix}.pkl'
        assert config.val_dataloader.dataset.ann_file == f'{dataset}_infos_val.pkl'
        assert config.train_cfg.max_epochs == 50
        if dataset == 'nuscenes':
            assert train.data_root == ('mini' if name.endswith('mini') else 'full')
            assert config.val_dataloader.dataset.data_root == 'full'


@pytest.mark.parametrize('name, pretraining', [
    ('minkunet34_semantickitti', 'nclr_minkunet34_semantickitti'),
    ('minkunet34_nuscenes', 'nclr_minkunet34_nuscenes'),
    # Table 5: from one data set to the other.
    ('minkunet34_nuscenes', 'nclr_minkunet34_semantickitti'),
    ('minkunet34_nuscenes_mini', 'nclr_minkunet34_semantickitti')])
def test_every_tensor_of_the_pretrained_backbone_fits(name, pretraining, load, shapes):
    config = load(f'panoptic/{name}')
    config.merge_from_dict(checkpoint_options(config, 'weights.pth'))
    model = config.model
    assert model.backbone.init_cfg.type == 'NCLRPretrained'
    assert model.backbone.init_cfg.checkpoint == 'weights.pth'
    assert shapes(model.backbone) == shapes(load(f'nclr/{pretraining}').model.point_backbone)


@pytest.mark.parametrize('name', NAMES)
def test_load_from_is_guarded(name, load):
    assert dict(type='CheckpointGuardHook', prefix='backbone.') in load(
        f'panoptic/{name}').custom_hooks


@pytest.mark.parametrize('name', NAMES)
def test_the_hidden_test_set_of_semantickitti_alone_is_predicted(name, load):
    config = load(f'panoptic/{name}')
    if 'nuscenes' in name:
        with pytest.raises(ConfigError, match="expected a config with a 'submission'"):
            submission_options(config, 'out')
        return
    config.merge_from_dict(submission_options(config, '/out'))
    assert config.test_evaluator == dict(type='SemanticKittiPanopticSubmission', out_dir='/out')
    assert config.test_dataloader.dataset.ann_file == 'semantickitti_infos_test.pkl'
    assert [step.type for step in config.test_dataloader.dataset.pipeline] == [
        'LoadPointsFromFile', 'Pack3DDetInputs']
