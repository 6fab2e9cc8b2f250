"""Every config says something that exists."""
import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import (DATA_SAMPLERS, DATASETS, HOOKS, LOOPS, METRICS, MODELS,
                               OPTIM_WRAPPERS, OPTIMIZERS, PARAM_SCHEDULERS, TASK_UTILS,
                               TRANSFORMS, VISBACKENDS, VISUALIZERS, WEIGHT_INITIALIZERS,
                               init_default_scope)

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in path.parts and 'pcdet' not in path.parts)
DEMOS = [path for path in CONFIGS if 'demo' in path.stem]
PRETRAINING = [path for path in CONFIGS if 'nclr' in path.relative_to(ROOT).parts]


def types(node, registry):
    """(type, registry) of a config and of every config inside it."""
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield node['type'], registry
        for key, value in node.items():
            yield from types(value, WEIGHT_INITIALIZERS if key == 'init_cfg' else registry)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from types(value, registry)


def all_types(config):
    yield from types(config.model, MODELS)
    yield from types(config.optim_wrapper.optimizer, OPTIMIZERS)
    yield config.optim_wrapper.type, OPTIM_WRAPPERS
    yield from types(config.param_scheduler, PARAM_SCHEDULERS)
    yield from types(list(config.default_hooks.values()), HOOKS)
    yield from types(config.custom_hooks, HOOKS)
    yield from types(config.vis_backends, VISBACKENDS)
    yield config.visualizer.type, VISUALIZERS
    for part in ('train', 'val', 'test'):
        loader = config[f'{part}_dataloader']
        yield loader.sampler.type, DATA_SAMPLERS
        yield loader.dataset.type, DATASETS
        yield from types(loader.dataset.reader, TASK_UTILS)
        yield from types(loader.dataset.pipeline, TRANSFORMS)
        if config[f'{part}_cfg'].get('type'):
            yield config[f'{part}_cfg'].type, LOOPS
    for part in ('val', 'test'):
        yield from types(config[f'{part}_evaluator'], METRICS)


def test_there_are_configs():
    assert {'nclr_minkunet_demo', 'nclr_minkunet34_semantickitti', 'nclr_minkunet34_kitti',
            'nclr_minkunet34_nuscenes'} <= {
        path.stem for path in CONFIGS}


def test_the_environment_says_where_data_are_and_nothing_else():
    text = '\n'.join(path.read_text() for path in (ROOT / 'configs').rglob('*.py'))
    names = set(re.findall(r'\{\{\s*\$(\w+)', text))
    assert len(names) > 5 and all(re.fullmatch(r'NCLR_\w+_ROOT', name) for name in names)


def test_pipelines_are_built_from_named_parts():
    for path in (ROOT / 'configs').rglob('*.py'):
        assert not re.search(r'_base_\.(pop|merge)\(|pipeline\[[-\d:]+\]|pipeline\.insert',
                             path.read_text()), path


@pytest.mark.parametrize('path', DEMOS, ids=lambda path: '-'.join(path.parts[-2:]))
def test_what_a_run_writes_reads_the_same(path):
    config = Config.fromfile(str(path), import_custom_modules=False)
    object.__setattr__(config, '_format_python_code', False)
    again = Config.fromstring(config.pretty_text, '.py')
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda path: path.stem)
def test_types_are_registered(path):
    pytest.importorskip('mmcv.cnn')  # registers the layers that a norm_cfg names
    config = Config.fromfile(str(path))
    init_default_scope(config.default_scope)
    found = list(all_types(config))
    assert len(found) > 30
    unknown = [(name, registry.name) for name, registry in found if registry.get(name) is None]
    assert not unknown


@pytest.mark.parametrize('path', PRETRAINING, ids=lambda path: path.stem)
def test_test_time_has_no_augmentation_and_training_crops_before_placing(path):
    config = Config.fromfile(str(path), import_custom_modules=False)
    train, test = ([step.type for step in config[f'{part}_dataloader'].dataset.pipeline]
                   for part in ('train', 'test'))
    random = {'RandomSceneFlip', 'ColorJitter', 'CropImages', 'MixScans'}
    same = [step for step in train if step not in random]
    if 'VirtualCamera' not in test:  # random windows of the size to which whole images are resized
        same = ['ResizeImages' if step == 'VirtualCamera' else step for step in same]
    assert same == test
    assert test.index('CropPoints') < test.index('RandomRigidTransform')


def readme_words():
    """Files that the README names, but for those of mmdet3d."""
    text = re.sub(r"mmdet3d's\s+`[^`]*`", '', (ROOT / 'README.md').read_text())
    return sorted(set(re.findall(r'(?:configs|tools|nclr_plugin)/[\w/.-]+\.(?:py|sh|txt|yml)',
                                 text)))


def test_files_that_the_readme_names_exist():
    words = readme_words()
    assert 'configs/nclr/nclr_minkunet34_semantickitti.py' in words and 'tools/train.py' in words
    assert not [word for word in words if not (ROOT / word).is_file()]


def test_configs_that_the_readme_names_for_openmim_exist():
    text = (ROOT / 'README.md').read_text()
    named = re.findall(r'mim train nclr_plugin (\S+)', text)
    assert named and set(named) <= {path.name for path in CONFIGS}


def test_schedules_of_a_paper_say_how_many_samples_they_are_made_for():
    found = {}
    for path in CONFIGS:
        config = Config.fromfile(str(path), import_custom_modules=False)
        if config.train_cfg.get('num_samples') is not None:
            found[path.stem] = config.train_cfg.num_samples
            assert config.train_cfg.num_samples == (
                config.train_cfg.max_iters * config.auto_scale_lr.base_batch_size), path
    assert not [name for name in found if re.search('demo|small|rig', name)]
    # 50 epochs of 19,130, 28,130 and 3,712 scans; 100 of KITTI 00-08 with two cameras.
    epochs = {name: found[name] / scans for name, scans in dict(
        nclr_minkunet34_semantickitti=19130, nclr_voxelnet_semantickitti=19130,
        nclr_minkunet34_nuscenes=28130, nclr_minkunet34_kitti=3712, nclr_voxelnet_kitti=3712,
        crossi2p_kitti=40818).items()}
    assert {name: round(number) for name, number in epochs.items()} == {
        **dict.fromkeys(epochs, 50), 'crossi2p_kitti': 100}
