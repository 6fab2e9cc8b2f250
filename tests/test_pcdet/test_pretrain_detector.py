"""Pretraining and its evaluation in the real OpenPCDet."""
import json
import math
import re

import pytest

pytestmark = pytest.mark.slow


def test_a_step_trains_every_parameter_that_the_loss_reaches(pretraining):
    assert pretraining['not_optimised'] == []
    assert all(map(math.isfinite, pretraining['losses']))
    assert pretraining['logged'] == [
        'loss_overlap', 'loss_pixel', 'loss_point', 'loss_pose', 'loss_yaw']
    assert pretraining['terms_add_up'] < 1e-4
    assert pretraining['steps'] == 2
    assert len(pretraining['backbone']) == 72
    assert pretraining['unmoved'] == []


def test_the_pose_loss_trains_the_encoder(pretraining):
    loss, total = pretraining['pose_loss']
    assert 0 < loss < math.inf and total == pytest.approx(loss)
    assert 0 < pretraining['pose_gradient'] < math.inf
    assert pretraining['finite_after_pose']


def test_a_loss_that_is_not_finite_names_its_frames(pretraining):
    assert pretraining['not_finite'].startswith('loss_yaw is not finite')
    assert all(frame in pretraining['not_finite'] for frame in pretraining['frames'])


def test_figures_are_those_of_the_metrics(pretraining):
    figures, expected = pretraining['figures'], pretraining['expected']
    assert set(figures) == set(expected)
    assert figures['calibration/num_views'] == 4
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, nan_ok=True)
    assert 'calibration/rte_m_median' in pretraining['text']
    assert len(pretraining['saved']) == 4


def test_a_checkpoint_of_another_network_is_refused(pretraining):
    assert 'none of the tensors of NCLRPretrain' in pretraining['foreign']
    assert 'foreign.weight' in pretraining['foreign']


def test_a_checkpoint_tells_the_voxels_of_its_own_run(pretraining):
    assert pretraining['voxels'] == pytest.approx([.05, .05, .1, -51.2, -51.2, -3, 51.2, 51.2, 1])


def test_command_line_trains_and_evaluates(pretrained_in_openpcdet, run_module, kitti_root):
    """OpenPCDet's tools/train.py to its end, evaluation included, from another directory."""
    log, output, folder = pretrained_in_openpcdet
    assert re.search(r'Train:.*Loss: \d', log)
    assert re.search(r'calibration/rre_geodesic_deg_median +\d', log)
    assert list(output.glob('ckpt/checkpoint_epoch_1.pth'))
    test = run_module(
        'nclr_plugin.pcdet.test', '--cfg_file', 'mine.yaml', '--batch_size', '2', '--workers', '0',
        '--ckpt', output / 'ckpt' / 'checkpoint_epoch_1.pth', '--set', 'DATA_CONFIG.DATA_PATH',
        kitti_root, cwd=folder)
    assert test.returncode == 0, test.stderr[-3000:]
    figure = r'calibration/rre_geodesic_deg_median +(\S+)'
    assert re.search(figure, test.stderr)[1] == re.search(figure, log)[1]


@pytest.mark.parametrize('culprit', [0, 1])
def test_a_loss_that_is_not_finite_in_one_process_is_told_by_both(in_openpcdet, tmp_path, culprit):
    values = [[1., 1.], [1., 1.]]
    values[culprit][1] = math.inf
    found = in_openpcdet('failing_rank.py', tmp_path, json.dumps(values))
    assert found['0'] == found['1']
    assert found['0'].startswith(f'loss_pose is not finite, frames frame_{culprit}_1: ')


def test_finite_losses_go_on(in_openpcdet, tmp_path):
    found = in_openpcdet('failing_rank.py', tmp_path, json.dumps([[1., 2.], [3., 4.]]))
    assert set(found.values()) == {'finished'}
