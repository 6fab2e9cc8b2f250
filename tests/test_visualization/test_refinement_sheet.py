"""Overlays of a refinement: what is drawn where, and which points and frames stand out."""
import numpy as np
import pytest

from nclr_plugin.visualization.canvas import TITLE_HEIGHT
from nclr_plugin.visualization.points import depth_colours
from nclr_plugin.visualization.refinement_sheet import (BRIGHTNESS, FRAME_WIDTH, SPACE, Frame,
                                                        best_median_worst, draw_refinement,
                                                        is_on_outline)

AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])
HEIGHT, WIDTH = 230, FRAME_WIDTH
K = np.array([[400., 0, 459.5], [0, 400., 114.5], [0, 0, 1]])
TOP = 40 + 2 * SPACE + 2 * TITLE_HEIGHT  # rows above the first frame


@pytest.mark.parametrize('scores, expected', [
    ([0.1, 0.5, 0.3, 0.2, 0.4], dict(best=1, median=2, worst=0)),
    ([0.1, 0.5, 0.3, 0.2], dict(best=1, median=3, worst=0)),
    ([0.1, 0.5], dict(best=1, worst=0)),
    ([0.7], dict(best=0)),
    ([0.2, 0.2, 0.2], dict(best=0, median=1, worst=2)),
])
def test_best_median_and_worst_frame(scores, expected):
    assert best_median_worst(np.array(scores)) == expected


def sheet(points, poses, num_frames=1, scores=None, ref2cam=np.eye(4)):
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    frame = Frame('best frame', image, np.asarray(points, np.float32), K, (0.1, 0.2), ref2cam)
    offsets = np.repeat([np.linspace(-3, 3, 21), np.linspace(-.3, .3, 21)], 3, axis=0)
    curves = [np.cos(offsets), np.cos(offsets) + 1] if scores is None else scores
    return draw_refinement('refined pose', [frame] * num_frames, poses, offsets, curves)


def test_a_point_is_drawn_where_each_pose_puts_it():
    after = AXES.copy()
    after[:3, 3] = [1, -0.5, 0]  # 40 pixels to the right, 20 up at 10 m
    point = [10., 0.0025, -0.0025]  # 0.1 pixels left of and below the principal point
    picture = sheet([point], (AXES, after))
    colour = depth_colours(np.array([10.]))[0].tolist()
    drawn = np.argwhere((picture[:TOP + HEIGHT, :2 * WIDTH + SPACE] == colour).all(-1))
    left = drawn[:, 1] < WIDTH
    assert len(drawn) == 10 and drawn[left].mean(0).tolist() == [TOP + 115, 459]
    assert drawn[~left].mean(0).tolist() == [TOP + 95, WIDTH + SPACE + 499]
    background = picture[TOP + 10, 10].tolist()
    assert background == [int(100 * BRIGHTNESS)] * 3


def test_a_frame_of_another_camera_is_drawn_by_its_own_pose():
    ref2cam = np.eye(4)
    ref2cam[0, 3] = 0.3
    point, beside = [[10., 0, 0]], AXES.copy()
    beside[0, 3] = 0.3
    np.testing.assert_array_equal(sheet(point, (AXES, AXES), ref2cam=ref2cam),
                                  sheet(point, (beside, beside)))


def test_size_of_the_sheet():
    heights = [len(sheet([[10., 0, 0]], (AXES, AXES), count)) for count in (1, 2, 3)]
    assert np.diff(heights).tolist() == [HEIGHT + TITLE_HEIGHT + SPACE] * 2


def test_curves_that_are_flat_and_frames_without_a_point_in_view():
    behind = [[-10., 0, 0]]
    picture = sheet(behind, (AXES, AXES), scores=np.zeros((2, 6, 21)))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3


def test_outlines_lie_beside_farther_points():
    """A post at 5 m before a wall at 20 m, and ground that recedes."""
    column, row = np.meshgrid(np.arange(0, 300, 2.), np.arange(0, 60, 2.))
    wall = np.column_stack([column.ravel(), row.ravel()])
    post = np.column_stack([np.full(30, 150.), np.arange(0, 60, 2.)])
    column, row = np.meshgrid(np.arange(0, 300, 2.), np.arange(70, 230, 2.))
    ground = np.column_stack([column.ravel(), row.ravel()])
    pixels = np.concatenate([wall, post, ground])
    depth = np.concatenate([np.full(len(wall), 20.), np.full(30, 5.), 1000 / (ground[:, 1] - 20)])
    found = is_on_outline(pixels, depth, 6)
    assert found[len(wall):len(wall) + 30].all() and found.sum() == 30
    assert is_on_outline(np.zeros((0, 2)), np.zeros(0), 6).shape == (0, )
