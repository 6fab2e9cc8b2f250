"""Flags of a fine-tuning become overrides, whatever the shape of the config."""
from pathlib import Path

import pytest
from mmengine.config import Config

from nclr_plugin.engine.finetuning import (checkpoint_options, fraction_options,
                                           submission_options)
from nclr_plugin.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def config_of(dataset, **others):
    return Config(dict(train_dataloader=dict(dataset=dataset), train_cfg={}, **others))


def test_a_fraction_is_at_the_end_of_the_name_of_the_info_file():
    for percent, name in ((10, 'x_10.pkl'), (0.1, 'x_0.1.pkl'), (100, 'x.pkl')):
        for before in ('x.pkl', 'x_1.pkl', 'x_0.5.pkl'):
            assert fraction_options(config_of(dict(ann_file=before)), percent) == {
                'train_dataloader.dataset.ann_file': name}


def test_wrapped_data_sets_and_pasted_objects_have_the_fraction_too():
    pipeline = [dict(type='Load'), dict(type='ObjectSample', db_sampler=dict(info_path='d/b.pkl'))]
    config = config_of(dict(type='RepeatDataset', dataset=dict(
        type='ConcatDataset', datasets=[dict(ann_file='a.pkl', pipeline=pipeline),
                                        dict(ann_file='c.pkl', pipeline=[])])))
    config.merge_from_dict(fraction_options(config, 20))
    first, second = config.train_dataloader.dataset.dataset.datasets
    assert [first.ann_file, second.ann_file] == ['a_20.pkl', 'c_20.pkl']
    assert first.pipeline[1].db_sampler.info_path == 'd/b_20.pkl'
    assert first.pipeline[0] == dict(type='Load')


def test_epochs_are_those_of_the_next_larger_fraction():
    config = config_of(dict(ann_file='x.pkl'), fraction_epochs=[(1, 500), (10, 100), (100, 5)])
    for percent, epochs, interval in ((0.1, 500, 50), (1, 500, 50), (2, 100, 10), (50, 5, 1)):
        options = fraction_options(config, percent)
        assert options['train_cfg.max_epochs'] == epochs
        assert options['train_cfg.val_interval'] == interval


@pytest.mark.parametrize('percent', [0, -5, 100.1, float('nan')])
def test_impossible_fractions(percent):
    with pytest.raises(ConfigError, match='label fraction: expected percent above 0 and up to 100'):
        fraction_options(config_of(dict(ann_file='x.pkl')), percent)


def test_weights_fill_the_part_that_is_initialised_by_them():
    for model, key in (
            (dict(backbone=dict(init_cfg=dict(type='NCLRPretrained'))), 'model.backbone.init_cfg'),
            (dict(init_cfg=dict(type='NCLRPretrained', submodule='a')), 'model.init_cfg'),
            (dict(init_cfg=[dict(type='Xavier'), dict(type='NCLRPretrained')]),
             'model.init_cfg.1')):
        assert checkpoint_options(Config(dict(model=model)), 'a, b.pth') == {
            f'{key}.checkpoint': 'a, b.pth'}


def test_configs_that_take_no_fraction_weights_or_submission_are_refused():
    path = str(CONFIGS / 'nclr' / 'nclr_minkunet_demo.py')
    config = Config.fromfile(path, import_custom_modules=False)
    for options, argument, needed in (
            (fraction_options, 10, 'a label fraction needs a training set with an info file'),
            (checkpoint_options, 'x.pth', 'pretrained weights need a model with'),
            (submission_options, 'out', "expected a config with a 'submission'")):
        with pytest.raises(ConfigError, match=f'{path}: {needed}'):
            options(config, argument)


def test_a_submission_replaces_the_evaluator_and_what_it_names_of_the_data_set(
        tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Config(dict(
        test_dataloader=dict(batch_size=2, dataset=dict(
            type='D', ann_file='val.pkl', pipeline=[dict(type='A'), dict(type='B')])),
        test_evaluator=dict(type='M', thing_class_inds=[0]),
        submission=dict(dataset=dict(ann_file='test.pkl', pipeline=[dict(type='A')]),
                        evaluator=dict(type='S', out_dir=None))))
    config.merge_from_dict(submission_options(config, 'out'))
    assert config.test_dataloader == dict(batch_size=2, dataset=dict(
        type='D', ann_file='test.pkl', pipeline=[dict(type='A')]))
    assert config.test_evaluator == dict(type='S', out_dir=str(tmp_path / 'out'))
