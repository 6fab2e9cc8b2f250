import sys

import numpy as np
import torch

from nclr_plugin.visualization import feature_plot, plot_features


def test_two_panels_with_alignment_one_without(image, points, sample, plain):
    assert plot_features(image, points, plain, 0).shape == (640, 720, 3)
    plain.features.unified_points = plain.features.points.flip(-1)
    assert plot_features(image, points, plain, 0).shape == (640, 1440, 3)


def test_the_same_features_give_the_same_picture(image, points, sample):
    first, second = (plot_features(image, points, sample, 0) for _ in range(2))
    assert np.array_equal(first, second) and first.std() > 5


def test_separate_modalities_are_drawn_apart(image, points, plain, monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)  # its import fails
    shift = torch.tensor([9., 0, 0, 0, 0, 0, 0, 0])
    plain.features.points = plain.features.points + shift
    plain.features.unified_points = plain.features.points.clone()
    picture = plot_features(image, points, plain, 0)[130:].astype(int)  # below the legend
    _, red = np.nonzero((picture[..., 0] > 200) & (picture[..., 2] < 140))
    _, blue = np.nonzero((picture[..., 2] > 150) & (picture[..., 0] < 110))
    assert len(red) > 50 and len(blue) > 50
    assert red.min() > blue.max() or blue.min() > red.max()


def test_only_what_overlaps_is_drawn_and_not_too_much_of_it():
    mask = torch.zeros(5000, dtype=torch.bool)
    mask[1000:4000] = True
    places = feature_plot._spread(mask)
    assert len(places) == feature_plot.SAMPLES == len(set(places))
    assert places[0] == 1000 and places[-1] == 3999
    assert feature_plot._spread(mask[:1005]).tolist() == list(range(1000, 1005))


def test_nothing_to_show(image, points, sample):
    sample.gt_pixel_overlap[:] = False
    assert plot_features(image, points, sample, 0) is None
    sample.pop('features')
    assert plot_features(image, points, sample, 0) is None
