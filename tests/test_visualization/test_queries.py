import numpy as np

from nclr_plugin.visualization.queries import choose_queries


def wall_with_poles(columns, wall=30.):
    """Points on a wall, and in some columns on a pole 8 m away in front of it."""
    u, v = (grid.ravel().astype(float) for grid in np.meshgrid(np.arange(0, 300, 3),
                                                               np.arange(0, 90, 3)))
    depth = np.where(np.isin(u, columns), 8., wall)
    return np.stack([u, v], axis=-1), depth


def test_what_stands_in_front_is_chosen_in_every_stripe():
    pixels, depth = wall_with_poles([30, 150, 270])
    chosen = choose_queries(pixels, depth, 300, 90, 3)
    assert pixels[chosen, 0].tolist() == [30, 150, 270]
    assert (depth[chosen] == 8).all()


def test_points_that_something_nearer_covers_are_not_chosen():
    # The second has more contrast to the third than the first has to the second.
    pixels = np.array([[10.9, 10.], [14., 10.], [17.1, 10.]])
    assert choose_queries(pixels, np.array([8., 12., 30.]), 300, 90, 1).tolist() == [0]
    assert choose_queries(pixels[1:], np.array([12., 30.]), 300, 90, 1).tolist() == [0]


def test_stripes_without_points_have_no_query():
    pixels = np.array([[10., 10.], [290., 10.]])
    assert choose_queries(pixels, np.array([5., 6.]), 300, 90, 3).tolist() == [0, 1]
    assert len(choose_queries(pixels[:0], np.zeros(0), 300, 90, 3)) == 0


def test_points_at_the_image_border_are_allowed():
    pixels = np.array([[-0.5, -0.5], [299.49, 89.49]])
    assert len(choose_queries(pixels, np.array([5., 6.]), 300, 90, 3)) == 2
