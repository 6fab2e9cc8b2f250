"""Raw labels of the demo world against mmdet3d's classes of SemanticKITTI."""
from pathlib import Path

import pytest
from mmengine.config import Config

from nclr_plugin.demo import labels

CLASSES = dict(
    CAR='car', BICYCLE='bicycle', BUS='bus', TRUCK='truck', PERSON='person',
    BICYCLIST='bicyclist', ROAD='road', PARKING='parking', SIDEWALK='sidewalk',
    BUILDING='building', FENCE='fence', VEGETATION='vegetation', TRUNK='trunck',
    TERRAIN='terrian', POLE='pole', TRAFFIC_SIGN='traffic-sign')  # as mmdet3d spells them


@pytest.fixture(scope='module')
def names():
    """mmdet3d's name of the class of a raw label."""
    mmdet3d = pytest.importorskip('mmdet3d')
    config = Config.fromfile(
        str(Path(mmdet3d.__file__).parent / '.mim/configs/_base_/datasets/semantickitti.py'))
    mapping = config.metainfo.seg_label_mapping
    classes = (*config.class_names, 'unlabeled')
    return {label: classes[index] for label, index in mapping.items()}


def test_labels_are_those_of_their_class(names):
    assert {name: names[getattr(labels, name)] for name in CLASSES} == CLASSES


def test_moving_labels_are_of_the_class_that_stands(names):
    assert len(set(labels.MOVING.values())) == len(labels.MOVING)
    for still, moving in labels.MOVING.items():
        assert moving >= 252 and names[moving] == names[still]


def test_everything_else_is_a_known_label(names):
    raw = {value for name, value in vars(labels).items() if name.isupper() and name != 'MOVING'}
    assert raw <= set(names)
