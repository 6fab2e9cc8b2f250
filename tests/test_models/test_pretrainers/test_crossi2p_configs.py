"""Configs of CrossI2P and of what it is compared with."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import METRICS, MODELS, TASK_UTILS, TRANSFORMS, init_default_scope

from nclr_plugin.experiments.runs import differences, flatten, title_of

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
PATHS = sorted(path for folder in ('crossi2p', 'registration')
               for path in (CONFIGS / folder).rglob('*.py'))
SWITCHES = dict(
    table3_1_without_sl='model.contrastive_head', table3_2_without_rm='model.transformer',
    table3_3_without_dpnp='model.loss_weights.pose', table3_4_without_dc='model.loss_balancer')


def load(name):
    path, = (path for path in PATHS if path.stem == name)
    return Config.fromfile(str(path), import_custom_modules=False)


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_everything_is_built(path):
    pytest.importorskip('mmdet3d')
    pytest.importorskip('spconv')
    import nclr_plugin  # noqa: F401
    config = Config.fromfile(str(path))
    init_default_scope(config.default_scope)
    for part in ('train', 'val', 'test'):
        dataset = config[f'{part}_dataloader'].dataset
        assert TASK_UTILS.build(dataset.reader)
        assert all(TRANSFORMS.build(step) for step in dataset.pipeline)
    names = {METRICS.build(metric).__class__.__name__ for metric in config.test_evaluator}
    assert {'CalibrationMetric', 'RegistrationMetric'} <= names
    config.model.image_branch.update(depth=18, weights=None, base_channels=8)
    assert type(MODELS.build(config.model)).__name__ == config.model.type


@pytest.mark.parametrize('name', SWITCHES)
def test_rows_of_table_3_differ_from_the_full_one_by_their_switch(name):
    full, row = (flatten(load(row).to_dict()) for row in ('table3_5_full', name))
    found = differences(full, row)
    assert found and all(key.startswith(SWITCHES[name]) for key in found)
    assert flatten(load('crossi2p_demo').to_dict()) == full


def test_titles_of_the_rows_are_different():
    titles = {title_of(path) for path in PATHS if path.stem.startswith('table3')}
    assert len(titles) == 5


def test_protocol_of_kitti():
    config = load('crossi2p_kitti')
    parts = config.train_dataloader.dataset.reader.parts
    assert [list(part.reader.cameras) for part in parts] == [['image_2'], ['image_3']]
    assert parts[0].reader.sequences == [f'{number:02d}' for number in range(9)]
    test = config.test_dataloader.dataset
    assert test.reader.parts[1].reader.sequences == ['09', '10'] and test.test_mode
    steps = {step.type: step for step in test.pipeline}
    assert steps['VoxelSample'].num_points == 20480 and steps['VoxelSample'].voxel_size == 0.1
    assert tuple(config.model.data_preprocessor.voxel_size) == (0.1, ) * 3
    rigid_transform = steps['RandomRigidTransform']
    assert rigid_transform.translation == (10., 0., 10.) and rigid_transform.axes == 'camera'
    assert rigid_transform.yaw == pytest.approx(2 * 3.14159265)
    assert tuple(steps['CropImages'].size) == (512, 160) and not steps['CropImages'].get('random')


@pytest.mark.parametrize('name', ['kitti', 'demo', 'nuscenes'])
def test_methods_are_tested_with_the_same_rigid_transforms(name):
    pair = f'crossi2p_{name}', f'nclr_{name}'
    steps = [{step.type: step for step in load(one).test_dataloader.dataset.pipeline}
             for one in pair]
    assert steps[0]['RandomRigidTransform'] == steps[1]['RandomRigidTransform']
    # Nothing random comes before the random transform, so that its numbers are the same.
    for one in pair:
        order = [step.type for step in load(one).test_dataloader.dataset.pipeline]
        assert order.index('RandomRigidTransform') == 3 + ('AccumulateSweeps' in order)
        assert 'PointNoise' in order


def test_nuscenes_differs_from_kitti_by_its_data_and_the_length_of_an_epoch():
    for name in ('crossi2p', 'nclr', 'corri2p_recipe'):
        kitti, nuscenes = (load(f'{name}_{data}') for data in ('kitti', 'nuscenes'))
        assert kitti.model.to_dict() == nuscenes.model.to_dict()
        assert nuscenes.train_cfg.num_samples == 100 * 28130
        assert nuscenes.train_cfg.max_iters == 20 * nuscenes.param_scheduler[0].step_size
        sizes = {tuple(step.size) for part in ('train', 'test')
                 for step in nuscenes[f'{part}_dataloader'].dataset.pipeline
                 if step.type == 'CropImages'}
        assert sizes == {(512, 160)}  # the paper's


def test_recipe_of_corri2p():
    for name in ('corri2p_recipe_demo', 'corri2p_recipe_kitti', 'corri2p_recipe_nuscenes'):
        model = load(name).model
        assert model.type == 'NCLR' and model.loss_weights.pose == 0
        assert model.matching_head.match == 'hard' and not model.matching_head.alignment
        assert model.pose_head.solver == 'ransac_epnp' and model.pose_head.max_iterations == 500


def test_the_literal_form_has_the_pose_losses_from_the_start():
    schedule = load('crossi2p_kitti_literal').default_hooks.pose_loss_schedule
    assert schedule.type == 'PoseLossScheduleHook' and (schedule.begin, schedule.end) == (0, 0)
    for name in ('crossi2p_kitti', 'crossi2p_nuscenes', 'crossi2p_demo', 'crossi2p_kitti_small'):
        assert load(name).default_hooks.pose_loss_schedule.begin > 0
