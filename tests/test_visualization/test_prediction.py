"""Pictures of predictions of mmdet3d's models: what is drawn, where and in which colour."""
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement

from nclr_plugin.visualization.canvas import TITLE_HEIGHT
from nclr_plugin.visualization.points import draw_birds_eye, panel_coordinates
from nclr_plugin.visualization.prediction import (BOX_IMAGE_WIDTH, BOX_PANEL, MIN_SCORE,
                                                  NO_INSTANCE, Boxes, ClassInfo, Panoptic,
                                                  draw_boxes_birds_eye, draw_boxes_image,
                                                  draw_panoptic_birds_eye, draw_panoptic_image,
                                                  draw_prediction, instance_colours,
                                                  match_instances)

pytest.importorskip('cv2')
METAINFO = dict(classes=('car', 'road'), palette=[[0, 0, 255], [255, 0, 255]])
PALETTE = np.array(METAINFO['palette'], np.uint8)
CORNERS = torch.tensor([[[x, y, z] for x in (9., 11.) for y in (-1., 1.) for z in (-1., 1.)]])
CLASS_INFO = ClassInfo(('car', 'person', 'road'),
                       np.array([[0, 0, 255], [255, 0, 0], [255, 0, 255]], np.uint8), [0, 1])
BOX_NAMES = ('car', 'person')
BOX_PALETTE = np.array([[0, 0, 255], [255, 0, 0]], np.uint8)
POINTS = torch.tensor([[15., 0, 0, 0], [0, 15., 0, 0], [-15., 0, 0, 0]])
LIDAR2CAM = torch.tensor([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CAM2IMG = torch.tensor([[300., 0, 479.5], [0, 300, 149.5], [0, 0, 1]])


def test_matched_instances_have_one_number():
    true = Panoptic(np.array([0, 0, 0, 0, 0, 1, 2]), np.array([5, 5, 5, 9, 9, 9, 0]))
    found = Panoptic(np.array([0, 0, 0, 1, 1, 1, 2]), np.array([2, 2, 2, 7, 7, 1, 3]))
    predicted, number = match_instances(found, true, [0, 1])
    np.testing.assert_array_equal(number, [1, 1, 1, 2, 2, 3, 0])
    np.testing.assert_array_equal(predicted[[0, 1, 2, 5, 6]], [1, 1, 1, 3, 0])
    assert predicted[3] == predicted[4] > 3  # on a true object, but of another class


def test_an_overlap_of_half_is_no_match():
    true = Panoptic(np.zeros(4, int), np.array([1, 1, 2, 2]))
    found = Panoptic(np.zeros(4, int), np.array([1, 1, 1, 1]))
    predicted, _ = match_instances(found, true, [0])
    assert (predicted > 2).all()


def test_colours_of_instances_differ():
    colours = instance_colours(np.arange(60))
    assert tuple(colours[0]) == NO_INSTANCE
    assert len(np.unique(colours, axis=0)) == 60


@pytest.fixture
def scan():
    points = torch.tensor([[10., 0, 0, 0], [10, 5, 0, 0], [10, -5, 0, 0]])
    return points, Panoptic(np.array([0, 1, 9]), np.array([1, 1, 0]))


def test_birds_eye_has_the_colours_of_the_classes(scan):
    points, labels = scan
    with_truth = draw_panoptic_birds_eye(points, labels, labels, CLASS_INFO)
    alone = draw_panoptic_birds_eye(points, labels, None, CLASS_INFO)
    assert with_truth.shape[1] > 1.9 * alone.shape[1]
    for picture in (with_truth, alone):
        # x points upwards, y to the left: the person is left of the car.
        blue = np.argwhere((picture[:590] == (0, 0, 255)).all(axis=-1))
        red = np.argwhere((picture[:590] == (255, 0, 0)).all(axis=-1))
        assert len(blue) and len(red) and red[:, 1].min() < blue[:, 1].min()
        assert blue[:, 0].max() < 300


def test_image_has_the_colours_of_the_classes(scan):
    points, labels = scan
    lidar2cam = torch.tensor([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    cam2img = torch.tensor([[100., 0, 99.5], [0, 100, 39.5], [0, 0, 1]])
    picture = draw_panoptic_image(np.zeros((80, 200, 3), np.uint8), lidar2cam, cam2img, points,
                                  labels, labels, CLASS_INFO)
    panel = picture[32:32 + 288, :720]
    row, column = np.argwhere((panel == (0, 0, 255)).all(axis=-1)).mean(axis=0)
    assert abs(row - 143.5) < 3 and abs(column - 359.5) < 3
    _, left = np.argwhere((panel == (255, 0, 0)).all(axis=-1)).mean(axis=0)
    assert abs(left - (99.5 - 50 + .5) * 3.6) < 3


def box(x, y, size=2.):
    """Corners in the order of mmdet3d's LiDAR boxes, from its own picture of them."""
    low, high = -size / 2, size / 2
    around = [(low, low, low), (low, low, high), (low, high, high), (low, high, low),
              (high, low, low), (high, low, high), (high, high, high), (high, high, low)]
    return np.array(around) + (x, y, 0)


def boxes(*places, labels):
    return Boxes(np.array([box(*place) for place in places]).reshape(-1, 8, 3), np.array(labels))


def test_corners_are_in_the_order_of_mmdet3d():
    structures = pytest.importorskip('mmdet3d.structures')
    reference = structures.LiDARInstance3DBoxes(torch.tensor([[7., 3, -1, 2, 2, 2, 0]]))
    np.testing.assert_allclose(reference.corners[0].numpy(), box(7, 3), atol=1e-6)


def test_boxes_from_above_are_where_they_are():
    picture = draw_boxes_birds_eye(POINTS, boxes((8, 0), labels=[0]),
                                   boxes((0, 9), (-8, 0), labels=[1, 0]), BOX_NAMES, BOX_PALETTE)
    panels = picture[TITLE_HEIGHT:TITLE_HEIGHT + BOX_PANEL]
    metres = BOX_PANEL / 2 / 20  # the border is 20 m away
    for left, colour, (x, y) in ((0, BOX_PALETTE[0], (8, 0)),
                                 (BOX_PANEL + 4, BOX_PALETTE[1], (0, 9))):
        v, u = np.nonzero((panels[:, left:left + BOX_PANEL] == colour).all(axis=-1))
        assert v.mean() == pytest.approx((BOX_PANEL - 1) / 2 - x * metres, abs=1)
        assert u.mean() == pytest.approx((BOX_PANEL - 1) / 2 - y * metres, abs=1)
        assert np.ptp(u) == pytest.approx(2 * metres, abs=4)


def test_places_in_the_panel_are_those_of_its_points():
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    panel = draw_birds_eye(POINTS, colours, None, None, 0, 400)
    for place, colour in zip(panel_coordinates(POINTS, POINTS[:, :2].numpy(), 400), colours):
        v, u = np.nonzero((panel == colour).all(axis=-1))
        np.testing.assert_allclose([u.mean(), v.mean()], place, atol=1)


def test_boxes_in_the_image_are_where_opencv_projects_them():
    image = np.zeros((300, BOX_IMAGE_WIDTH, 3), np.uint8)
    picture = draw_boxes_image(image, LIDAR2CAM, CAM2IMG, POINTS, boxes((9, 2), labels=[1]), None,
                               BOX_NAMES, BOX_PALETTE)[TITLE_HEIGHT:]
    corners = box(9, 2) @ LIDAR2CAM[:3, :3].numpy().T
    pixels, _ = cv2.projectPoints(corners, np.zeros(3), np.zeros(3), CAM2IMG.double().numpy(), None)
    v, u = np.nonzero((picture[:300] == BOX_PALETTE[1]).all(axis=-1))
    low, high = pixels[:, 0].min(axis=0), pixels[:, 0].max(axis=0)
    np.testing.assert_allclose([u.min(), v.min()], low, atol=2)
    np.testing.assert_allclose([u.max(), v.max()], high, atol=2)


@pytest.mark.parametrize('place, drawn', [((-9, 0), False), ((0, 0), True), ((1, 3), True)])
def test_boxes_behind_and_around_the_camera(place, drawn):
    image = np.zeros((300, BOX_IMAGE_WIDTH, 3), np.uint8)
    picture = draw_boxes_image(image, LIDAR2CAM, CAM2IMG, POINTS,
                               boxes(place, labels=[1]), None, BOX_NAMES,
                               BOX_PALETTE)[TITLE_HEIGHT:TITLE_HEIGHT + 300]
    assert (picture == BOX_PALETTE[1]).all(axis=-1).any() == drawn


def test_no_boxes_and_unknown_classes():
    none = Boxes(np.zeros((0, 8, 3)), np.zeros(0, int))
    assert draw_boxes_birds_eye(POINTS, none, none, BOX_NAMES, BOX_PALETTE).dtype == np.uint8
    draw_boxes_birds_eye(POINTS, boxes((5, 5), labels=[-1]), None, BOX_NAMES, BOX_PALETTE)


def point_labels(**labels):
    return pytest.importorskip('mmdet3d.structures').PointData(**labels)


@pytest.fixture
def views(image):
    lidar2cam = torch.tensor([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    cam2img = torch.tensor([[60., 0, 39.5], [0, 60., 19.5], [0, 0, 1]])
    return [dict(name=name, image=image, lidar2cam=lidar2cam, cam2img=cam2img)
            for name in ('left', 'right')]


def test_a_scan_is_drawn_from_above_and_on_each_image(points, views):
    semantic = torch.arange(len(points)) % 2
    truth = dict(pts_semantic_mask=np.zeros(len(points), int))
    sample = BaseDataElement(pred_pts_seg=point_labels(pts_semantic_mask=semantic))
    sample.eval_ann_info = truth
    drawn = list(draw_prediction(points, sample, views, METAINFO, thing_classes=[0]))
    assert [(kind, camera) for kind, camera, _ in drawn] == [
        ('birds_eye', ''), ('camera', 'left'), ('camera', 'right')]
    expected = draw_panoptic_birds_eye(
        points, Panoptic(semantic.numpy()), Panoptic(truth['pts_semantic_mask']),
        ClassInfo(METAINFO['classes'], PALETTE, [0]))
    assert (drawn[0][2] == expected).all()


def test_true_instances_are_not_drawn_beside_a_prediction_without_any(points):
    semantic = np.zeros(len(points), int)
    sample = BaseDataElement(
        pred_pts_seg=point_labels(pts_semantic_mask=torch.from_numpy(semantic)))
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
