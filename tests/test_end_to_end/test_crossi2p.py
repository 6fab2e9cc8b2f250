"""CrossI2P through the command lines: training, resuming, mixed precision, Table 2."""
import json
import math
import shutil

import pytest
import torch

ITERATIONS = 4
TINY = {
    'model.point_backbone.channels': '(8,8)',
    'model.point_backbone.dilations': '(1,4)',
    'model.point_backbone.out_channels': 16,
    'model.image_branch.base_channels': 8,
    'model.image_branch.out_channels': 16,
    'model.transformer.num_heads': 2,
    'model.transformer.num_layers': 1,
    'model.embed_dims': 24,
    'model.superpoints.num_groups': 48,
    'model.num_samples': 64,
    'model.overlap_head.thresholds': '(0.,0.)',
    'model.pose_head.max_iterations': 50,
    'model.pose_head.max_reprojection_error': 1e9,
    'model.num_test_points': 200,
    'train_cfg.max_iters': ITERATIONS,
    'train_cfg.val_begin': 100,
    'default_hooks.checkpoint.interval': 2,
    'default_hooks.pose_loss_schedule.begin': 0.,
    'default_hooks.pose_loss_schedule.end': 0.,
    'log_processor.window_size': 1,
    'default_hooks.logger.interval': 1,
}


@pytest.fixture(scope='module')
def config(demo_config):
    return demo_config.parents[1] / 'crossi2p' / 'crossi2p_demo.py'


@pytest.fixture(scope='module')
def options(demo):
    chosen = {**TINY, **demo, 'train_dataloader.batch_size': 1}
    for part in ('train', 'val', 'test'):
        chosen[f'{part}_dataloader.dataset.pipeline.4.num_points'] = 400
    return chosen


@pytest.fixture(scope='module')
def trained(run, config, options, tmp_path_factory):
    work = tmp_path_factory.mktemp('crossi2p')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.device.utils.DEVICE', 'cpu')
        run('train', config, '--work-dir', work, tiny=False, options=options)
    return work


def balancer(path):
    state = torch.load(path, map_location='cpu')['state_dict']
    return {name: value for name, value in state.items() if name.startswith('loss_balancer.')}


def test_every_loss_is_logged_and_the_weights_move(trained, curves, log):
    curve = curves(trained)
    assert sorted(curve) == list(range(1, ITERATIONS + 1))
    for losses in curve.values():
        assert {'loss_imid', 'loss_cmid', 'loss_coarse_point', 'loss_fine_pixel', 'loss_pose',
                'loss_reprojection'} < set(losses)
        assert all(math.isfinite(value) for value in losses.values())
    assert 'weight_contrastive: ' in log(trained) and 'ratio_pose: ' in log(trained)
    state = balancer(trained / 'iter_4.pth')
    assert float(state['loss_balancer.weights'].sum()) == pytest.approx(3, rel=1e-4)
    assert not torch.equal(state['loss_balancer.weights'], torch.ones(3))


def test_resuming_changes_nothing(run, config, options, trained, curves, tmp_path, on_cpu):
    shutil.copy(trained / 'iter_2.pth', tmp_path)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_2.pth'))
    run('train', config, '--work-dir', tmp_path, '--resume', tiny=False, options=options)
    whole, rest = curves(trained), curves(tmp_path)
    assert sorted(rest) == [3, 4] and all(rest[step] == whole[step] for step in rest)
    before, after = (balancer(folder / 'iter_4.pth') for folder in (trained, tmp_path))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_bfloat16(run, config, options, curves, tmp_path, on_cpu):
    run('train', config, '--work-dir', tmp_path, '--amp', tiny=False,
        options={**options, 'train_cfg.max_iters': 2})
    assert all(math.isfinite(value) for losses in curves(tmp_path).values()
               for value in losses.values())


def test_rows_of_table_2(run, config, options, trained, tmp_path, on_cpu):
    pipeline = 'test_dataloader.dataset.pipeline'
    rows = []
    for name, row in (('clean', {}), ('noisy', {f'{pipeline}.5.deviation': 0.2,
                                                f'{pipeline}.7.size': 32})):
        run('test', config, trained / 'iter_4.pth', '--work-dir', tmp_path / name, tiny=False,
            options={**options, **row})
        rows.append(json.loads(next((tmp_path / name).glob('*/[0-9]*.json')).read_text()))
    for row in rows:
        assert row['registration/num_views'] == 2
        assert 0 <= row['registration/inlier_ratio_5px'] <= 1
    names = ('registration/all_frames_rre_deg_mean', 'calibration/identity_rte_m_mean')
    error, identity = ([row[name] for row in rows] for name in names)
    assert error[0] != error[1] and identity[0] == identity[1]  # the same random transforms


def test_two_processes(run, config, options, tmp_path):
    """The pose losses with GradNorm under DDP, as the README trains KITTI."""
    result = run.process(
        'train', config, '--work-dir', tmp_path, '--launcher', 'pytorch', tiny=False,
        options={**options, 'train_cfg.max_iters': 2, 'model.loss_balancer.interval': 1},
        python=('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2'))
    assert result.returncode == 0, result.stderr[-3000:]
    assert 'loss_pose: ' in result.stdout and 'weight_pose: ' in result.stdout
    state = balancer(tmp_path / 'iter_2.pth')
    assert float(state['loss_balancer.steps'].max()) == 2
    assert float(state['loss_balancer.weights'].sum()) == pytest.approx(3, rel=1e-4)
    assert not torch.equal(state['loss_balancer.weights'], torch.ones(3))
