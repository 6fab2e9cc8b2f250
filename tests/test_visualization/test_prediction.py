"""Which pictures samples of mmdet3d get, beside those drawn from the same labels directly."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from nclr_plugin.visualization.box_map import Boxes, draw_boxes_birds_eye
from nclr_plugin.visualization.panoptic_map import Panoptic, Vocabulary, draw_panoptic_birds_eye
from nclr_plugin.visualization.prediction import MIN_SCORE, draw_prediction

pytest.importorskip('cv2')
PointData = pytest.importorskip('mmdet3d.structures').PointData
METAINFO = dict(classes=('car', 'road'), palette=[[0, 0, 255], [255, 0, 255]])
PALETTE = np.array(METAINFO['palette'], np.uint8)
CORNERS = torch.tensor([[[x, y, z] for x in (9., 11.) for y in (-1., 1.) for z in (-1., 1.)]])


@pytest.fixture
def views(image):
    lidar2cam = torch.tensor([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    cam2img = torch.tensor([[60., 0, 39.5], [0, 60., 19.5], [0, 0, 1]])
    return [dict(name=name, image=image, lidar2cam=lidar2cam, cam2img=cam2img)
            for name in ('left', 'right')]


def test_a_scan_is_drawn_from_above_and_on_each_image(points, views):
    semantic = torch.arange(len(points)) % 2
    truth = dict(pts_semantic_mask=np.zeros(len(points), int))
    sample = BaseDataElement(pred_pts_seg=PointData(pts_semantic_mask=semantic))
    sample.eval_ann_info = truth
    drawn = list(draw_prediction(points, sample, views, METAINFO, thing_classes=[0]))
    assert [(kind, camera) for kind, camera, _ in drawn] == [
        ('birds_eye', ''), ('camera', 'left'), ('camera', 'right')]
    expected = draw_panoptic_birds_eye(
        points, Panoptic(semantic.numpy()), Panoptic(truth['pts_semantic_mask']),
        Vocabulary(METAINFO['classes'], PALETTE, [0]))
    assert (drawn[0][2] == expected).all()


def test_true_instances_are_not_drawn_beside_a_prediction_without_any(points):
    semantic = np.zeros(len(points), int)
    sample = BaseDataElement(
        pred_pts_seg=PointData(pts_semantic_mask=torch.from_numpy(semantic)))
    pictures = []
    for instances in ({}, dict(pts_instance_mask=np.arange(len(points)))):
        sample.eval_ann_info = dict(pts_semantic_mask=semantic, **instances)
        pictures += [picture for _, _, picture in draw_prediction(points, sample, [], METAINFO)]
    assert (pictures[0] == pictures[1]).all()


def test_only_boxes_of_a_fair_score_are_drawn(points, views):
    found = SimpleNamespace(
        bboxes_3d=SimpleNamespace(corners=torch.cat([CORNERS, CORNERS + 3])),
        scores_3d=torch.tensor([MIN_SCORE, MIN_SCORE - 0.01]), labels_3d=torch.tensor([0, 1]))
    sample = BaseDataElement()
    sample.set_field(found, 'pred_instances_3d')
    drawn = list(draw_prediction(points, sample, views[:1], METAINFO))
    assert [(kind, camera) for kind, camera, _ in drawn] == [('birds_eye', ''), ('camera', 'left')]
    expected = draw_boxes_birds_eye(
        points, Boxes(CORNERS.numpy(), np.array([0])), None, METAINFO['classes'], PALETTE)
    assert (drawn[0][2] == expected).all()


def test_nothing_is_drawn_without_predictions(points, views):
    assert list(draw_prediction(points, BaseDataElement(), views, METAINFO)) == []
