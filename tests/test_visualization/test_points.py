"""A scan in an image and from above: which colour is where."""
import cv2
import numpy as np
import pytest
import torch

from nclr_plugin.geometry.se3 import make_transform
from nclr_plugin.structures import CalibrationDataSample
from nclr_plugin.visualization import compare_poses, compare_sample
from nclr_plugin.visualization.canvas import BAR_WIDTH, DIMMED, TITLE_HEIGHT
from nclr_plugin.visualization.points import (DEPTH_TICKS, MAX_DEPTH, MIN_DEPTH, depth_colours,
                                              depth_level, draw_birds_eye, draw_depth, draw_discs,
                                              level_depth)

AXES = np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])
K = np.array([[900., 0, 639.5], [0, 900., 191.5], [0, 0, 1]])


def grey(height=384, width=1280):
    return np.full((height, width, 3), 100, np.uint8)


def test_discs_agree_with_opencv_drawn_point_by_point():
    rng = np.random.default_rng(0)
    pixels, depth = rng.uniform(-5, 105, (300, 2)), rng.uniform(1, 80, 300)
    expected = grey(100, 100)
    for i in np.argsort(-depth):
        u, v = (int(round(x)) for x in pixels[i])
        for du, dv in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1),
                       (-1, -1)):
            if 0 <= u + du < 100 and 0 <= v + dv < 100:
                expected[v + dv, u + du] = depth_colours(depth[i:i + 1])[0]
    assert np.array_equal(draw_depth(grey(100, 100), pixels, depth, radius=1.5), expected)


def test_the_given_image_is_not_drawn_into():
    image = grey(10, 10)
    draw_depth(image, np.array([[5., 5.]]), np.array([3.]))
    assert (image == 100).all()


def test_colours_run_from_red_to_blue_and_end_at_the_scales_ends():
    near, middle, far = depth_colours(np.array([MIN_DEPTH, 11., MAX_DEPTH])).astype(int)
    assert near[0] > 2 * near[2] and far[2] > 2 * far[1] and middle[1] > max(middle[0], middle[2])
    assert np.array_equal(depth_colours(np.array([0., 1e4])),
                          depth_colours(np.array([MIN_DEPTH, MAX_DEPTH])))


def test_later_discs_cover_earlier_ones():
    colours = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    drawn = draw_discs(grey(9, 9), np.array([[4., 4.], [5., 4.]]), colours, radius=1)
    assert drawn[4, 4].tolist() == drawn[4, 6].tolist() == [0, 255, 0]
    assert drawn[4, 3].tolist() == drawn[3, 4].tolist() == [255, 0, 0]
    assert (drawn != 100).any(axis=-1).sum() == 8


def test_scale_of_depths_is_logarithmic():
    level = depth_level(np.array(DEPTH_TICKS))
    assert level[0] == 0 and level[-1] == 1
    assert np.allclose(np.diff(level)[1:4], np.log(2) / np.log(MAX_DEPTH / MIN_DEPTH))
    assert np.allclose(level_depth(level), DEPTH_TICKS)


def scan(n=200):
    rng = np.random.default_rng(0)
    return rng.uniform([6, -3, -1, 0], [50, 3, 1, 1], (n, 4)).astype(np.float32)


def test_points_are_drawn_where_opencv_projects_them():
    points = scan()
    picture = compare_poses(grey(), torch.tensor(points), torch.tensor(K),
                            dict(truth=torch.tensor(AXES), none=None))
    assert picture.shape == (2 * (384 + TITLE_HEIGHT), 1280 + BAR_WIDTH, 3)
    pixels, _ = cv2.projectPoints(points[:, :3].astype(float), cv2.Rodrigues(AXES[:3, :3])[0],
                                  np.zeros(3), K, None)
    order = np.argsort(points[:, 0])
    u, v = np.rint(pixels[order, 0]).astype(int).T
    depth = points[order, 0]
    first = np.array([not ((abs(u[:i] - u[i]) < 3) & (abs(v[:i] - v[i]) < 3)).any()
                      for i in range(len(u))])  # no nearer point covers it
    inside = first & (u >= 0) & (u < 1280) & (v >= 0) & (v < 384)
    assert inside.sum() > 100
    panel = picture[TITLE_HEIGHT:TITLE_HEIGHT + 384, :1280]
    difference = panel[v[inside], u[inside]].astype(int) - depth_colours(depth[inside])
    assert np.abs(difference).max() <= 8  # a rounded colour level
    without = picture[-384:, :1280]
    assert (without == int(100 * DIMMED)).all()


def test_small_images_are_enlarged_with_the_points():
    cam2img = torch.tensor([[80., 0, 47.5], [0, 80., 15.5], [0, 0, 1]])
    point = torch.tensor([[8., 1., -0.5, 0.]])  # u = 47.5 - 80 / 8 = 37.5, v = 15.5 + 40 / 8 = 20.5
    picture = compare_poses(grey(32, 96), point, cam2img, dict(one=torch.tensor(AXES)))
    factor = 960 // 96
    assert picture.shape[1] - BAR_WIDTH == 960
    panel = picture[TITLE_HEIGHT:, :960].astype(int)
    v, u = np.nonzero(np.abs(panel - int(100 * DIMMED)).sum(axis=-1))
    assert abs(u.mean() - ((37.5 + 0.5) * factor - 0.5)) <= 0.5
    assert abs(v.mean() - ((20.5 + 0.5) * factor - 0.5)) <= 0.5


def test_points_behind_the_camera_are_not_drawn():
    picture = compare_poses(grey(), torch.tensor(scan()) * torch.tensor([-1., 1, 1, 1]),
                            torch.tensor(K), dict(one=torch.tensor(AXES)))
    assert (picture[TITLE_HEIGHT:, :1280] == int(100 * DIMMED)).all()


@pytest.fixture
def sample():
    rigid_transform = np.eye(4)
    rigid_transform[:3, 3] = 0, 1, 0
    sample = CalibrationDataSample(metainfo=dict(rigid_transform=rigid_transform))
    sample.lidar2cam = torch.tensor(AXES[None])
    sample.cam2img = torch.tensor(K[None])
    return sample


def panels(picture, count):
    height = len(picture) // count
    return [picture[i * height + TITLE_HEIGHT:(i + 1) * height, :1280] for i in range(count)]


def test_sample_shows_before_predicted_and_truth(sample):
    points = torch.tensor(scan())
    sample.pred_lidar2cam, sample.pred_valid = sample.lidar2cam.clone(), torch.tensor([True])
    before, predicted, truth = panels(compare_sample(grey(), points, sample, 0), 3)
    assert np.array_equal(predicted, truth)
    moved = compare_poses(grey(), points, sample.cam2img[0],
                          dict(one=sample.lidar2cam[0] @ torch.tensor(sample.rigid_transform)))
    assert np.array_equal(before, panels(moved, 1)[0])
    assert not np.array_equal(before, truth)


def test_failed_view_is_shown_without_points(sample):
    sample.pred_lidar2cam, sample.pred_valid = sample.lidar2cam.clone(), torch.tensor([False])
    _, predicted, truth = panels(compare_sample(grey(), torch.tensor(scan()), sample, 0), 3)
    assert (predicted == int(100 * DIMMED)).all() and not (truth == int(100 * DIMMED)).all()


def test_sample_without_predictions_has_two_panels(sample):
    picture = compare_sample(grey(), torch.tensor(scan()), sample, 0)
    assert len(picture) == 2 * (384 + TITLE_HEIGHT)


LIDAR2CAM = torch.tensor([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.]])
CAM2IMG = torch.tensor([[100., 0, 99.5], [0, 100., 49.5], [0, 0, 1]])  # 90 degrees of 200 pixels
RGB = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
XYZ = torch.tensor([[5., 0., 0.], [0., 8., 1.], [-9., 0., 0.]])  # ahead, left, behind


def places(panel):
    """Metres ahead and to the left of the centre, of every colour; the border is 10 m away."""
    found = []
    for colour in RGB:
        v, u = np.nonzero((panel == colour).all(axis=-1))
        found.append([(199.5 - v.mean()) / 20, (199.5 - u.mean()) / 20])
    return np.array(found)


def test_ahead_is_up_and_left_is_left():
    panel = draw_birds_eye(XYZ, RGB, LIDAR2CAM, CAM2IMG, 200, 400)
    assert panel.shape == (400, 400, 3)
    assert np.allclose(places(panel), XYZ[:, :2], atol=0.1)


def test_it_does_not_depend_on_where_the_sensor_was_placed():
    angle = torch.tensor(2.)
    turn = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0],
                         [0, 0, 1]])
    rigid_transform = make_transform(turn, torch.tensor([30., -12., 1.]))
    moved = XYZ @ turn.T + rigid_transform[:3, 3]
    panel = draw_birds_eye(moved, RGB, LIDAR2CAM @ rigid_transform.inverse(), CAM2IMG, 200, 400)
    assert np.allclose(places(panel), XYZ[:, :2], atol=0.15)


def test_lines_enclose_what_the_image_shows():
    panel = draw_birds_eye(XYZ[:1], RGB[:1], LIDAR2CAM, CAM2IMG, 200, 400).astype(int)
    v, u = np.nonzero((panel[:150] > 180).all(axis=-1))
    ahead, left = (199.5 - v) / 20, (199.5 - u) / 20
    assert len(v) > 100 and (left > 3).any() and (left < -3).any()
    assert np.abs(ahead - np.abs(left)).max() < 0.2


def test_a_few_far_points_do_not_shrink_the_rest():
    points = torch.cat([XYZ.repeat(100, 1), torch.tensor([[900., 0., 0.]])])
    colours = np.concatenate([RGB.repeat(100, axis=0).reshape(3, 100, 3).swapaxes(0, 1)
                              .reshape(-1, 3), RGB[:1]])
    assert np.allclose(places(draw_birds_eye(points, colours, LIDAR2CAM, CAM2IMG, 200, 400)),
                       XYZ[:, :2], atol=0.1)


def test_without_points_the_circles_remain():
    panel = draw_birds_eye(XYZ[:0], RGB[:0], LIDAR2CAM, CAM2IMG, 200, 400)
    assert panel.shape == (400, 400, 3) and (panel > 60).any()
