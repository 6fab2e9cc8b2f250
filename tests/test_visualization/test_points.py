import numpy as np

from nclr_plugin.visualization.points import (DEPTH_TICKS, MAX_DEPTH, MIN_DEPTH, depth_colours,
                                              depth_level, draw_depth, draw_discs, level_depth)


def grey(height, width):
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
