import numpy as np
import torch

from nclr_plugin.geometry.se3 import make_transform
from nclr_plugin.visualization.birds_eye import draw_birds_eye

AXES = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])
K = torch.tensor([[100., 0, 99.5], [0, 100., 49.5], [0, 0, 1]])  # 90 degrees of 200 pixels
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
POINTS = torch.tensor([[5., 0., 0.], [0., 8., 1.], [-9., 0., 0.]])  # ahead, left, behind


def places(panel):
    """Metres ahead and to the left of the centre, of every colour; the border is 10 m away."""
    found = []
    for colour in COLOURS:
        v, u = np.nonzero((panel == colour).all(axis=-1))
        found.append([(199.5 - v.mean()) / 20, (199.5 - u.mean()) / 20])
    return np.array(found)


def test_ahead_is_up_and_left_is_left():
    panel = draw_birds_eye(POINTS, COLOURS, AXES, K, 200, 400)
    assert panel.shape == (400, 400, 3)
    assert np.allclose(places(panel), POINTS[:, :2], atol=0.1)


def test_it_does_not_depend_on_where_the_sensor_was_placed():
    angle = torch.tensor(2.)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0],
                         [0, 0, 1]])
    rigid_transform = make_transform(turn, torch.tensor([30., -12., 1.]))
    moved = POINTS @ turn.T + rigid_transform[:3, 3]
    panel = draw_birds_eye(moved, COLOURS, AXES @ rigid_transform.inverse(), K, 200, 400)
    assert np.allclose(places(panel), POINTS[:, :2], atol=0.15)


def test_lines_enclose_what_the_image_shows():
    panel = draw_birds_eye(POINTS[:1], COLOURS[:1], AXES, K, 200, 400).astype(int)
    v, u = np.nonzero((panel[:150] > 180).all(axis=-1))
    ahead, left = (199.5 - v) / 20, (199.5 - u) / 20
    assert len(v) > 100 and (left > 3).any() and (left < -3).any()
    assert np.abs(ahead - np.abs(left)).max() < 0.2


def test_a_few_far_points_do_not_shrink_the_rest():
    points = torch.cat([POINTS.repeat(100, 1), torch.tensor([[900., 0., 0.]])])
    colours = np.concatenate([COLOURS.repeat(100, axis=0).reshape(3, 100, 3).swapaxes(0, 1)
                              .reshape(-1, 3), COLOURS[:1]])
    assert np.allclose(places(draw_birds_eye(points, colours, AXES, K, 200, 400)),
                       POINTS[:, :2], atol=0.1)


def test_without_points_the_circles_remain():
    panel = draw_birds_eye(POINTS[:0], COLOURS[:0], AXES, K, 200, 400)
    assert panel.shape == (400, 400, 3) and (panel > 60).any()
