"""The demo world in every layout through the config of the data set that has it."""
import math

import pytest

from nclr_plugin.demo.layouts import LAYOUTS


@pytest.mark.parametrize('layout, config, views, cameras', [
    ('semantickitti', 'nclr_minkunet34_semantickitti', 2, 1),
    ('kitti', 'nclr_minkunet34_kitti', 2, 1),
    ('nuscenes', 'nclr_minkunet34_nuscenes', 12, 6),
    ('rig', 'nclr_minkunet34_rig', 18, 3),  # without a list of frames, it is tested on all
])
def test_pretraining_and_evaluation(run, make_world, demo_config, in_process, quick_pictures,
                                    curves, log, tmp_path, layout, config, views, cameras):
    config = demo_config.with_name(f'{config}.py')
    options = {'train_dataloader.batch_size': 1, 'train_cfg.max_iters': 2,
               'train_cfg.val_interval': 2, **in_process}
    for part in ('train', 'val', 'test'):
        options[f'{part}_dataloader.dataset.data_root'] = make_world(layout)
    if layout == 'semantickitti':
        options['train_dataloader.dataset.reader.sequences'] = '[00]'
    run('train', config, '--work-dir', tmp_path / 'train', options=options)
    curve = curves(tmp_path / 'train')
    assert sorted(curve) == [1, 2]
    assert all(math.isfinite(value) for losses in curve.values() for value in losses.values())
    assert f'Calibration of {views} views' in log(tmp_path / 'train')
    run('test', config, tmp_path / 'train' / 'iter_2.pth', '--work-dir', tmp_path / 'test',
        '--show-dir', tmp_path / 'pictures', options={
            **options, **quick_pictures, 'default_hooks.pictures.max_frames': 1})
    assert f'Calibration of {views} views' in log(tmp_path / 'test')
    assert len(list((tmp_path / 'pictures' / 'overlay').glob('*.png'))) == cameras
    assert 'There were no broken frames' in log(tmp_path / 'test')


def test_every_layout_is_here():
    assert set(LAYOUTS) <= {'semantickitti', 'kitti', 'nuscenes', 'rig'}
