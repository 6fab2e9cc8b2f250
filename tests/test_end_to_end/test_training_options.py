"""What mmdet3d can do to a training, on this project's models and data."""
import json
import math
import shutil

import pytest
import torch

STEPS = 4


@pytest.fixture(scope='module')
def options(demo):
    return {**demo, 'train_cfg.max_iters': STEPS, 'train_cfg.val_begin': 100,
            'train_cfg.val_interval': 100, 'default_hooks.checkpoint.interval': 2}


@pytest.fixture(scope='module')
def plain(train_on_cpu, options, curves):
    """Losses of the training as it is."""
    return curves(train_on_cpu(options))


def test_averaged_weights_are_validated_and_resumed(run, demo_config, options, plain, curves,
                                                    tmp_path, on_cpu):
    """mmengine's EMAHook: a checkpoint's ``state_dict`` is the average, as validated."""
    average = {**options, 'default_hooks.ema.type': 'EMAHook', 'default_hooks.ema.momentum': 0.5}
    work = tmp_path / 'whole'
    run('train', demo_config, '--work-dir', work,
        options={**average, 'train_cfg.val_begin': STEPS, 'train_cfg.val_interval': STEPS})
    assert curves(work) == plain, 'averaging does not change the training'
    last = torch.load(work / f'iter_{STEPS}.pth', map_location='cpu')
    name = 'point_backbone.encoder.0.0.0.weight'
    trained = last['ema_state_dict'][f'module.{name}']
    assert not torch.equal(last['state_dict'][name], trained)
    run('test', demo_config, work / f'iter_{STEPS}.pth', '--work-dir', tmp_path / 'test',
        options=options)
    tested = json.loads(next((tmp_path / 'test').glob('*/[0-9]*.json')).read_text())
    lines = next(work.glob('*/vis_data/scalars.json')).read_text().splitlines()
    validated = json.loads(lines[-1])
    shared = {name: value for name, value in tested.items()
              if name in validated and '/' in name and name.endswith(('_median', '_mean', 'views'))}
    assert shared['calibration/num_views'] == 2 and len(shared) > 3
    assert {name: validated[name] for name in shared} == pytest.approx(shared, nan_ok=True)

    part = tmp_path / 'part'
    part.mkdir()
    shutil.copy(work / 'iter_2.pth', part)
    (part / 'last_checkpoint').write_text(str(part / 'iter_2.pth'))
    run('train', demo_config, '--work-dir', part, '--resume', options=average)
    resumed = torch.load(part / f'iter_{STEPS}.pth', map_location='cpu')
    for key, value in last['state_dict'].items():
        assert torch.equal(resumed['state_dict'][key], value), key


def test_workers_that_are_spawned_load_the_same(run, demo_config, options, plain, curves, tmp_path):
    result = run.process('train', demo_config, '--work-dir', tmp_path, options={
        **options, 'train_cfg.max_iters': 2, 'env_cfg.mp_cfg.mp_start_method': 'spawn',
        'train_dataloader.num_workers': 1, 'train_dataloader.persistent_workers': True})
    assert result.returncode == 0, result.stderr[-3000:]
    for step, losses in curves(tmp_path).items():
        assert losses == pytest.approx(plain[step], rel=1e-3), step


def test_gradients_are_accumulated_over_two_batches(run, demo_config, options, plain, curves,
                                                    tmp_path, on_cpu):
    run('train', demo_config, '--work-dir', tmp_path,
        options={**options, 'optim_wrapper.accumulative_counts': 2})
    found = curves(tmp_path)
    assert sorted(found) == list(range(1, STEPS + 1))
    assert found[1] == plain[1] and found[2] != plain[2], 'no step after the first batch'
    assert all(math.isfinite(value) for losses in found.values() for value in losses.values())
    state = torch.load(tmp_path / f'iter_{STEPS}.pth', map_location='cpu')
    steps = {int(of['step']) for of in state['optimizer']['state'].values()}
    assert steps == {STEPS // 2}
