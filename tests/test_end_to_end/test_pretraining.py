"""Pretraining and evaluation of a small network on the demo world."""
import json
import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

ITERATIONS = 8


@pytest.fixture(scope='module')
def trained(run, demo_config, demo, tmp_path_factory):
    work = tmp_path_factory.mktemp('trained')
    run('train', demo_config, '--work-dir', work, options={
        **demo, 'train_cfg.max_iters': ITERATIONS, 'train_cfg.val_interval': ITERATIONS})
    return SimpleNamespace(work=work, checkpoint=work / f'iter_{ITERATIONS}.pth')


def test_losses_are_finite_and_fall(trained, curves):
    curve = curves(trained.work)
    assert sorted(curve) == list(range(1, ITERATIONS + 1))
    assert all(math.isfinite(value) for losses in curve.values() for value in losses.values())
    for name in ('loss_point', 'loss_pixel', 'loss_overlap'):
        assert curve[ITERATIONS][name] < curve[1][name]


def test_checkpoint_holds_the_weights_and_what_resuming_needs(trained):
    checkpoint = torch.load(trained.checkpoint, map_location='cpu')
    assert (trained.work / 'last_checkpoint').read_text() == str(trained.checkpoint)
    assert {'state_dict', 'optimizer', 'param_schedulers', 'message_hub'} <= set(checkpoint)
    assert checkpoint['meta']['iter'] == ITERATIONS
    assert any(key.startswith('point_backbone.encoder.') for key in checkpoint['state_dict'])
    assert all(torch.isfinite(value.float()).all() for value in checkpoint['state_dict'].values())


def test_tensorboard_holds_the_same_losses(trained, curves):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(str(next(trained.work.glob('*/vis_data'))))
    events.Reload()
    logged = {event.step: event.value for event in events.Scalars('loss')}
    assert logged == pytest.approx({k: v['loss'] for k, v in curves(trained.work).items()})
    assert 'calibration/rre_geodesic_deg_mean' in events.Tags()['scalars']


def test_validation_ends_the_training(trained, log):
    assert 'Calibration of 2 views' in log(trained.work)


@pytest.fixture(scope='module')
def evaluated(run, trained, demo_config, demo, tmp_path_factory):
    """A test of the trained network, with pictures."""
    work = tmp_path_factory.mktemp('evaluated')
    run('test', demo_config, trained.checkpoint, '--work-dir', work, '--show-dir',
        work / 'pictures', options=demo)
    return work


def test_evaluation_prints_a_table_and_draws(evaluated, log):
    pictures = evaluated / 'pictures'
    text = log(evaluated)
    for row in ('RRE geodesic [deg] mean', 'RTE [m] median', 'recall < 5 deg, < 2 m',
                'failure rate'):
        assert row in text
    assert (pictures / 'recall_curves' / 'calibration.png').is_file()
    for kind in ('overlay', 'overlap', 'pixel_similarity', 'point_similarity', 'matches',
                 'feature_plot', 'feature_map'):
        drawn = sorted(path.name for path in (pictures / kind).iterdir())
        assert drawn == ['08_000000_image_2.png', '08_000001_image_2.png'], kind
    shapes = set()
    for path in (pictures / 'overlay').iterdir():
        picture = cv2.imread(str(path))
        shapes.add(picture.shape)
        height, width = picture.shape[:2]
        assert height >= 96 and width >= 320 and height * width >= 3 * 96 * 320
        # Points of many distances have many hues.
        hue, saturation, _ = np.moveaxis(cv2.cvtColor(picture, cv2.COLOR_BGR2HSV), -1, 0)
        assert len(np.unique(hue[saturation > 200])) > 20
    assert len(shapes) == 1


def test_evaluation_is_repeatable_and_differs_from_random_weights(run, trained, evaluated,
                                                                  demo_config, demo, tmp_path):
    for checkpoint, name in ((trained.checkpoint, 'again'), ('none', 'random')):
        run('test', demo_config, checkpoint, '--work-dir', tmp_path / name, options=demo)
    figures = [next(work.glob('*/[0-9]*.json')).read_text()
               for work in (evaluated, tmp_path / 'again', tmp_path / 'random')]
    results = [{k: v for k, v in json.loads(text).items() if 'time' not in k} for text in figures]
    assert results[0] == results[1]
    identity = 'calibration/identity_rte_m_mean'
    assert results[0][identity] == results[2][identity] > 0
    assert results[0] != results[2]


def test_bfloat16_on_cpu(run, demo_config, demo, curves, tmp_path, on_cpu):
    run('train', demo_config, '--work-dir', tmp_path, '--amp', options={
        **demo, 'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3})
    curve = curves(tmp_path)
    assert len(curve) == 3
    for losses in curve.values():
        assert set(losses) == {'loss', 'loss_point', 'loss_pixel', 'loss_overlap',
                               'loss_yaw', 'loss_pose'}
        assert all(math.isfinite(value) for value in losses.values())
