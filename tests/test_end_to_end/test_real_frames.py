"""A few steps and an evaluation on frames of the public data sets."""
import math

import pytest

from nclr_plugin.experiments.curves import read_errors

ITERATIONS = 2
READER = 'dataset.reader'


def every_part(options, parts=('train', 'val', 'test')):
    return {f'{part}_dataloader.{key}': value for part in parts for key, value in options.items()}


@pytest.fixture
def check(run, demo_config, in_process, quick_pictures, curves, log, tmp_path):
    """Function: config, options, views to be evaluated -> runs and checks."""

    def run_both(config, options, views, added=('loss_yaw', )):
        config = demo_config.with_name(f'{config}.py')
        options = {'train_dataloader.batch_size': 1, 'train_cfg.max_iters': ITERATIONS,
                   'train_cfg.val_interval': 100, 'train_cfg.val_begin': 100,
                   **in_process, **options}
        run('train', config, '--work-dir', tmp_path / 'train', options=options)
        curve = curves(tmp_path / 'train')
        assert len(curve) == ITERATIONS
        for losses in curve.values():
            assert set(losses) == {'loss', 'loss_point', 'loss_pixel', 'loss_overlap',
                                   'loss_pose', *added}
            assert all(math.isfinite(value) for value in losses.values())
            assert losses['loss_point'] > 0 and losses['loss_pixel'] > 0
        assert 'There were no broken frames' in log(tmp_path / 'train')
        assert 'The schedule is made for' in log(tmp_path / 'train')
        run('test', config, tmp_path / 'train' / f'iter_{ITERATIONS}.pth', '--work-dir',
            tmp_path / 'test', '--show-dir', tmp_path / 'pictures',
            options={**options, **quick_pictures,
                     'test_evaluator.0.out_file': tmp_path / 'views.csv'})
        assert len(read_errors(tmp_path / 'views.csv').rre) == views
        assert f'Calibration of {views} views' in log(tmp_path / 'test')
        assert len(list((tmp_path / 'pictures' / 'overlay').glob('*.png'))) == views

    return run_both


@pytest.mark.parametrize('config, options', [
    ('nclr_minkunet34_semantickitti', {}),
    ('nclr_minkunet34_semantickitti_literal', dict(added=())),  # the paper as printed
])
def test_kitti_odometry(check, shared_data, config, options):
    check(config, every_part({
        'dataset.data_root': shared_data / 'kitti_odometry', f'{READER}.sequences': '[90]',
        'dataset.indices': 2}), views=2, **options)


def test_kitti_object(check, shared_data):
    check('nclr_minkunet34_kitti', every_part({
        'dataset.data_root': shared_data / 'kitti_object', f'{READER}.frame_list': 'None',
        'dataset.indices': 2}), views=2)


def test_nuscenes(check, shared_data):
    check('nclr_minkunet34_nuscenes', every_part({
        'dataset.data_root': shared_data / 'nuscenes_frame',
        f'{READER}.info_file': 'info_v2.pkl'}), views=6)
