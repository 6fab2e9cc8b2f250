"""Panoptic pictures: which colour is where."""
import numpy as np
import pytest
import torch

from nclr_plugin.visualization.panoptic_map import (NO_INSTANCE, Panoptic, Vocabulary,
                                                    draw_panoptic_birds_eye, draw_panoptic_image,
                                                    instance_colours, match_instances)

pytest.importorskip('cv2')
VOCABULARY = Vocabulary(('car', 'person', 'road'),
                        np.array([[0, 0, 255], [255, 0, 0], [255, 0, 255]], np.uint8), [0, 1])


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
    with_truth = draw_panoptic_birds_eye(points, labels, labels, VOCABULARY)
    alone = draw_panoptic_birds_eye(points, labels, None, VOCABULARY)
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
                                  labels, labels, VOCABULARY)
    panel = picture[32:32 + 288, :720]
    row, column = np.argwhere((panel == (0, 0, 255)).all(axis=-1)).mean(axis=0)
    assert abs(row - 143.5) < 3 and abs(column - 359.5) < 3
    _, left = np.argwhere((panel == (255, 0, 0)).all(axis=-1)).mean(axis=0)
    assert abs(left - (99.5 - 50 + .5) * 3.6) < 3
