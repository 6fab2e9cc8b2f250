"""Pretraining and its evaluation in the real OpenPCDet."""
import math
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'pcdet'


@pytest.fixture(scope='module')
def report(in_openpcdet, kitti_root, tmp_path_factory):
    folder = tmp_path_factory.mktemp('pretraining')
    (folder / 'a.yaml').write_text(f'_BASE_CONFIG_: {CONFIGS / "nclr_pretrain_kitti.yaml"}\n')
    return in_openpcdet('pretraining.py', kitti_root, folder / 'a.yaml')


def test_parts_are_registered(report):
    assert report['registered'] == [True, True]


def test_batches_follow_openpcdets_conventions(report):
    assert report['batch'] == dict(points=[5], scans=[0., 1.], camera_imgs=[2, 3, 160, 512],
                                   dtype='torch.uint8', frames=2, size=2)
    assert report['passes_differ']
    assert report['test_is_deterministic']


def test_a_step_trains_every_parameter_that_the_loss_reaches(report):
    assert report['not_optimised'] == []
    assert all(map(math.isfinite, report['losses']))
    assert report['logged'] == [
        'loss_overlap', 'loss_pixel', 'loss_point', 'loss_pose', 'loss_yaw']
    assert report['terms_add_up'] < 1e-4
    assert report['steps'] == 2
    assert len(report['backbone']) == 72
    assert report['unmoved'] == []


def test_the_pose_loss_trains_the_encoder(report):
    loss, total = report['pose_loss']
    assert 0 < loss < math.inf and total == pytest.approx(loss)
    assert 0 < report['pose_gradient'] < math.inf
    assert report['finite_after_pose']


def test_a_loss_that_is_not_finite_names_its_frames(report):
    assert report['not_finite'].startswith('loss_yaw is not finite')
    assert all(frame in report['not_finite'] for frame in report['frames'])


def test_figures_are_those_of_the_metrics(report):
    figures, expected = report['figures'], report['expected']
    assert set(figures) == set(expected)
    assert figures['calibration/num_views'] == 4
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, nan_ok=True)
    assert 'calibration/rte_m_median' in report['text']
    assert len(report['saved']) == 4


def test_a_checkpoint_of_another_network_is_refused(report):
    assert 'none of the tensors of NCLRPretrain' in report['foreign']
    assert 'foreign.weight' in report['foreign']


def test_a_checkpoint_tells_the_voxels_of_its_own_run(report):
    assert report['voxels'] == pytest.approx([.05, .05, .1, -51.2, -51.2, -3, 51.2, 51.2, 1])


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
