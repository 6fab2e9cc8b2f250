"""Pictures of boxes: where they are drawn and in which colour."""
import cv2
import numpy as np
import pytest
import torch

from nclr_plugin.visualization.birds_eye import draw_birds_eye, panel_coordinates
from nclr_plugin.visualization.box_map import (BIRDS_EYE, IMAGE_WIDTH, Boxes, draw_boxes_birds_eye,
                                               draw_boxes_image)
from nclr_plugin.visualization.canvas import TITLE_HEIGHT

NAMES = ('car', 'person')
PALETTE = np.array([[0, 0, 255], [255, 0, 0]], np.uint8)
POINTS = torch.tensor([[15., 0, 0, 0], [0, 15., 0, 0], [-15., 0, 0, 0]])
LIDAR2CAM = torch.tensor([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CAM2IMG = torch.tensor([[300., 0, 479.5], [0, 300, 149.5], [0, 0, 1]])


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
                                   boxes((0, 9), (-8, 0), labels=[1, 0]), NAMES, PALETTE)
    panels = picture[TITLE_HEIGHT:TITLE_HEIGHT + BIRDS_EYE]
    metres = BIRDS_EYE / 2 / 20  # the border is 20 m away
    for left, colour, (x, y) in ((0, PALETTE[0], (8, 0)), (BIRDS_EYE + 4, PALETTE[1], (0, 9))):
        v, u = np.nonzero((panels[:, left:left + BIRDS_EYE] == colour).all(axis=-1))
        assert v.mean() == pytest.approx((BIRDS_EYE - 1) / 2 - x * metres, abs=1)
        assert u.mean() == pytest.approx((BIRDS_EYE - 1) / 2 - y * metres, abs=1)
        assert np.ptp(u) == pytest.approx(2 * metres, abs=4)


def test_places_in_the_panel_are_those_of_its_points():
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    panel = draw_birds_eye(POINTS, colours, None, None, 0, 400)
    for place, colour in zip(panel_coordinates(POINTS, POINTS[:, :2].numpy(), 400), colours):
        v, u = np.nonzero((panel == colour).all(axis=-1))
        np.testing.assert_allclose([u.mean(), v.mean()], place, atol=1)


def test_boxes_in_the_image_are_where_opencv_projects_them():
    image = np.zeros((300, IMAGE_WIDTH, 3), np.uint8)
    picture = draw_boxes_image(image, LIDAR2CAM, CAM2IMG, POINTS, boxes((9, 2), labels=[1]), None,
                               NAMES, PALETTE)[TITLE_HEIGHT:]
    corners = box(9, 2) @ LIDAR2CAM[:3, :3].numpy().T
    pixels, _ = cv2.projectPoints(corners, np.zeros(3), np.zeros(3), CAM2IMG.double().numpy(), None)
    v, u = np.nonzero((picture[:300] == PALETTE[1]).all(axis=-1))
    low, high = pixels[:, 0].min(axis=0), pixels[:, 0].max(axis=0)
    np.testing.assert_allclose([u.min(), v.min()], low, atol=2)
    np.testing.assert_allclose([u.max(), v.max()], high, atol=2)


@pytest.mark.parametrize('place, drawn', [((-9, 0), False), ((0, 0), True), ((1, 3), True)])
def test_boxes_behind_and_around_the_camera(place, drawn):
    image = np.zeros((300, IMAGE_WIDTH, 3), np.uint8)
    picture = draw_boxes_image(image, LIDAR2CAM, CAM2IMG, POINTS,
                               boxes(place, labels=[1]), None, NAMES,
                               PALETTE)[TITLE_HEIGHT:TITLE_HEIGHT + 300]
    assert (picture == PALETTE[1]).all(axis=-1).any() == drawn


def test_no_boxes_and_unknown_classes():
    none = Boxes(np.zeros((0, 8, 3)), np.zeros(0, int))
    assert draw_boxes_birds_eye(POINTS, none, none, NAMES, PALETTE).dtype == np.uint8
    draw_boxes_birds_eye(POINTS, boxes((5, 5), labels=[-1]), None, NAMES, PALETTE)
