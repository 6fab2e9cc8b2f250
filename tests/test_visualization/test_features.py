import sys

import numpy as np
import pytest
import torch

from nclr_plugin.visualization import draw_features, features, plot_features
from nclr_plugin.visualization.canvas import TITLE_HEIGHT
from nclr_plugin.visualization.features import evenly_spaced_idx, feature_colours

FACTOR = 10
WIDTH = 80 * FACTOR
PANEL = 40 * FACTOR + TITLE_HEIGHT


def test_matching_features_have_the_same_colour_whatever_divides_the_modalities():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 8)) @ np.diag([5, 4, 3, .1, .1, .1, .1, .1])
    pixels = points + 20 * rng.normal(size=8)
    every = np.ones(300, bool)
    of_points, of_pixels = feature_colours(points, pixels, every, every)
    assert of_points.dtype == np.uint8 and of_points.shape == (300, 3)
    assert np.abs(of_points.astype(int) - of_pixels).max() <= 1
    assert of_points.min() == 0 and of_points.max() == 255
    for channel, axis in enumerate(range(3)):
        correlation = np.corrcoef(of_points[:, channel], points[:, axis])[0, 1]
        assert abs(correlation) > 0.95


def test_what_does_not_overlap_has_no_influence_on_the_rest():
    rng = np.random.default_rng(0)
    points, pixels = rng.normal(size=(100, 8)), rng.normal(size=(80, 8))
    overlap = np.arange(100) < 60
    before, _ = feature_colours(points, pixels, overlap, overlap[:80])
    points[60:] *= 100
    after, _ = feature_colours(points, pixels, overlap, overlap[:80])
    assert np.array_equal(before[:60], after[:60])


def test_cells_and_points_have_the_colours_of_their_features(image, points, sample):
    picture = draw_features(image, points, sample, 0)
    of_points, of_cells = feature_colours(
        sample.features.aligned_points.numpy(), sample.features.aligned_pixels[0].numpy(),
        sample.gt_point_overlap[0].numpy(), sample.gt_pixel_overlap[0].flatten().numpy())
    cells = picture[PANEL + TITLE_HEIGHT:2 * PANEL, :WIDTH]
    middle = cells[2 * FACTOR::4 * FACTOR, 2 * FACTOR::4 * FACTOR]
    assert np.array_equal(middle.reshape(-1, 3), of_cells)
    nearest = int(np.where(sample.gt_point_overlap[0], points[:, 0], 99).argmin())
    x, y, z = points[nearest, :3].tolist()
    column, row = (round((c - 60 * d / x + .5) * FACTOR - .5) for c, d in ((39.5, y), (19.5, z)))
    in_view = picture[2 * PANEL + TITLE_HEIGHT:3 * PANEL, :WIDTH]
    assert np.array_equal(in_view[row, column], of_points[nearest])


def test_the_same_features_give_the_same_picture(image, points, sample):
    assert np.array_equal(*(draw_features(image, points, sample, 0) for _ in range(2)))


def test_nothing_to_show(image, points, sample):
    for mask in (sample.gt_point_overlap[0], sample.gt_pixel_overlap[0].flatten()):
        mask[1:], mask[0] = False, True  # two features have no three components
    assert draw_features(image, points, sample, 0) is None
    sample.gt_point_overlap[:] = False
    assert draw_features(image, points, sample, 0) is None
    sample.pop('features')
    assert draw_features(image, points, sample, 0) is None


def test_without_scikit_learn_the_error_says_what_to_install(image, points, sample, monkeypatch):
    for module, draw in (('decomposition', draw_features), ('manifold', plot_features)):
        monkeypatch.setitem(sys.modules, f'sklearn.{module}', None)  # its import fails
        with pytest.raises(ImportError, match='Drawing features needs sklearn'):
            draw(image, points, sample, 0)


def test_two_panels_with_alignment_one_without(image, points, sample, plain):
    assert plot_features(image, points, plain, 0).shape == (640, 720, 3)
    plain.features.aligned_points = plain.features.points.flip(-1)
    assert plot_features(image, points, plain, 0).shape == (640, 1440, 3)


def test_the_same_features_give_the_same_plot(image, points, sample):
    first, second = (plot_features(image, points, sample, 0) for _ in range(2))
    assert np.array_equal(first, second) and first.std() > 5


def test_separate_modalities_are_drawn_apart(image, points, plain):
    shift = torch.tensor([9., 0, 0, 0, 0, 0, 0, 0])
    plain.features.points = plain.features.points + shift
    plain.features.aligned_points = plain.features.points.clone()
    picture = plot_features(image, points, plain, 0)[130:].astype(int)  # below the legend
    _, red = np.nonzero((picture[..., 0] > 200) & (picture[..., 2] < 140))
    _, blue = np.nonzero((picture[..., 2] > 150) & (picture[..., 0] < 110))
    assert len(red) > 50 and len(blue) > 50
    assert red.min() > blue.max() or blue.min() > red.max()


def test_only_what_overlaps_is_drawn_and_not_too_much_of_it():
    mask = torch.zeros(5000, dtype=torch.bool)
    mask[1000:4000] = True
    places = evenly_spaced_idx(mask)
    assert len(places) == features.MAX_DOTS == len(set(places))
    assert places[0] == 1000 and places[-1] == 3999
    assert evenly_spaced_idx(mask[:1005]).tolist() == list(range(1000, 1005))


def test_nothing_to_plot(image, points, sample):
    sample.gt_pixel_overlap[:] = False
    assert plot_features(image, points, sample, 0) is None
    sample.pop('features')
    assert plot_features(image, points, sample, 0) is None
