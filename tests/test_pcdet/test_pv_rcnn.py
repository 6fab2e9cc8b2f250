"""PV-RCNN in the real OpenPCDet: its operations, and training and prediction by its own tools."""
import re
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'pcdet' / 'pv_rcnn_kitti.yaml'
# A smaller range, fewer points and proposals, no pasting (it wants road planes).
SMALL = f"""
_BASE_CONFIG_: {CONFIG}
DATA_CONFIG:
    POINT_CLOUD_RANGE: [0, -12.8, -3, 25.6, 12.8, 1]
    DATA_AUGMENTOR: {{DISABLE_AUG_LIST: [gt_sampling]}}
MODEL:
    BACKBONE_2D: {{LAYER_NUMS: [1, 1]}}
    PFE: {{NUM_KEYPOINTS: 256}}
    ROI_HEAD:
        NMS_CONFIG:
            TRAIN: {{NMS_PRE_MAXSIZE: 128, NMS_POST_MAXSIZE: 32}}
            TEST: {{NMS_PRE_MAXSIZE: 64, NMS_POST_MAXSIZE: 16}}
        TARGET_CONFIG: {{ROI_PER_IMAGE: 16}}
    POST_PROCESSING:
        SCORE_THRESH: 0.0
        NMS_CONFIG: {{NMS_PRE_MAXSIZE: 32, NMS_POST_MAXSIZE: 3}}
OPTIMIZATION: {{PCT_START: 0.5}}
"""


@pytest.fixture(scope='module')
def report(in_openpcdet, rotated_boxes):
    return in_openpcdet('pv_rcnn.py')


@pytest.mark.parametrize('operation', ['farthest_points', 'balls', 'groups', 'boxes', 'each_box',
                                       'suppression'])
def test_operations(report, operation):
    assert report[operation]


def test_operations_with_numbers(report):
    assert report['gradient'] < 1e-5 and report['iou'] < 1e-5
    # There was something to find.
    assert report['empty_balls'] == 1 and report['points_inside'] > 30
    assert report['overlapping'] > 50 and 5 < report['kept'] < 40


def test_trains_and_predicts_with_the_pretrained_encoder(
        run_module, fraction_root, rotated_boxes, exported, tmp_path):
    (tmp_path / 'small.yaml').write_text(SMALL)
    done = run_module(
        'nclr_plugin.pcdet.train', '--cfg_file', 'small.yaml', '--pretrained_model', exported,
        '--batch_size', '2', '--epochs', '2', '--workers', '0', '--wo_gpu_stat',
        '--logger_iter_interval', '1', '--num_epochs_to_eval', '1', '--fix_random_seed',
        '--set', 'DATA_CONFIG.DATA_PATH', fraction_root, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    log = done.stdout + done.stderr
    assert not re.search('Not updated weight backbone_3d', log)
    assert re.search(r'Not updated weight pfe\.', log)  # it is the encoder that is loaded
    assert re.search(r'Done \(loaded 72/\d+\)', log)
    losses = [float(value) for value in re.findall(r'Train:.*?Loss: (\S+)', log)]
    assert len(losses) == 2 and all(0 < loss < 1e4 for loss in losses)
    assert float(re.search(r'Average predicted number of objects\(\d+ samples\): (\S+)', log)[1])
    assert 'Car AP_R40@0.70, 0.70, 0.70' in log

    output = Path(re.search(r'Result is saved to (\S+)/eval/', log)[1])
    trained = torch.load(output / 'ckpt' / 'checkpoint_epoch_2.pth',
                         map_location='cpu')['model_state']
    before = torch.load(exported)['model_state']
    moved = [key for key, tensor in before.items()
             if key.endswith('weight') and not torch.equal(tensor, trained[key])]
    assert len(moved) == sum(key.endswith('weight') for key in before)
