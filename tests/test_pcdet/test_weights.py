"""Weights both ways between mmdet3d and the real OpenPCDet."""
import re

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip('mmdet3d')


@pytest.fixture(scope='module')
def report(in_openpcdet, tmp_path_factory):
    return in_openpcdet('weights.py', tmp_path_factory.mktemp('weights'))


@pytest.mark.parametrize('way', ['to_openpcdet', 'to_mmdet3d'])
def test_same_features_in_both_frameworks(report, way):
    assert report[way]['pairs'] == 5
    assert report[way]['largest'] > 0.1
    assert report[way]['difference'] <= 1e-5
    assert report['to_mmdet3d']['before'] > 0.1  # without the weights they differ


@pytest.mark.parametrize('way', ['residual_to_openpcdet', 'residual_to_mmdet3d'])
def test_same_features_of_centerpoints_encoder(report, way):
    largest = report[way]['largest']
    assert largest > 0.1
    assert report[way]['difference'] <= 1e-5 * max(largest, 1)
    assert report[way]['before'] > 0.1  # without the weights they differ


def test_same_birds_eye_network(report):
    assert report['bev']['largest'] > 1e-3
    assert report['bev']['difference'] <= 1e-5


@pytest.mark.parametrize('case', ['second', 'pv_rcnn', 'nclr', 'also', 'also_converted'])
def test_openpcdets_log_says_that_the_backbone_was_updated(report, case):
    log, tensors = report[case]['log'], report[case]['tensors']
    assert tensors == 72
    assert not [line for line in log if 'Not updated weight backbone_3d' in line]
    loaded = int(re.search(r'Done \(loaded (\d+)/', log[-1])[1])
    assert loaded >= tensors
    assert report[case].get('equal', True)


def test_the_launcher_refuses_an_encoder_of_other_shapes(report):
    wider, residual = report['refused']
    assert 'found 1 missing or of another shape, first backbone_3d.conv_input.0.weight, ' \
        '(16, 3, 3, 3, 5) in the detector, (16, 3, 3, 3, 4) in the file' in wider
    assert 'first backbone_3d.conv1.0.conv1.weight, (16, 3, 3, 3, 16) in the detector, none' \
        in residual


def test_configs_for_fine_tuning_are_openpcdets(report):
    assert report['configs'] == dict(second=True, pv_rcnn=True)
