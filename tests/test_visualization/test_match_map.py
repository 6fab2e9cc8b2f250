import pytest
import torch

from nclr_plugin.visualization import draw_matches
from nclr_plugin.visualization import match_map
from nclr_plugin.visualization.canvas import PANEL_WIDTH, TITLE_HEIGHT
from nclr_plugin.visualization.match_map import COLOURS

FACTOR = 12
PANEL = 40 * FACTOR + TITLE_HEIGHT


@pytest.mark.parametrize('error, band', [(0., 0), (2.9, 0), (3.1, 1), (5., 2), (10.1, 3),
                                         (20.1, 4), (300., 4)])
def test_dots_lie_at_the_true_pixel_in_the_colour_of_the_error(image, points, sample, error, band):
    found = sample.matchings[0]
    found.true_pixels = torch.tensor([[32., 10.]])
    found.points = points[:1, :3]
    found.cosine_hard = torch.tensor([[32. + .6 * error, 10 - .8 * error]])
    found.learned_soft = found.true_pixels
    picture = draw_matches(image, points, sample, 0)
    row, column = round(10.5 * FACTOR - .5), round(32.5 * FACTOR - .5)
    assert (picture[TITLE_HEIGHT + row, column] == COLOURS[band]).all()
    assert (picture[PANEL + TITLE_HEIGHT + row, column] == COLOURS[0]).all()


def test_titles_say_median_and_share(image, points, sample, monkeypatch):
    titles = []
    monkeypatch.setattr(match_map, 'titled', lambda panel, title: titles.append(title) or panel)
    found = sample.matchings[0]
    found.cosine_hard = found.true_pixels + torch.tensor([3., 4.])
    found.learned_soft = found.true_pixels.clone()
    found.learned_soft[:len(found.points) // 4] += 100
    draw_matches(image, points, sample, 0)
    assert titles == [
        'cosine similarity, most similar pixel: median error 5.0 px, 0% below 3 px',
        'learned alignment, soft matching: median error 0.0 px, 75% below 3 px']


def test_panels_by_what_the_network_has(image, points, sample, plain):
    picture = draw_matches(image, points, plain, 0)
    assert picture.shape == (PANEL + TITLE_HEIGHT, PANEL_WIDTH, 3)
    plain.matchings[0].learned_soft = plain.matchings[0].cosine_soft
    assert draw_matches(image, points, plain, 0).shape == (2 * PANEL + TITLE_HEIGHT,
                                                           PANEL_WIDTH, 3)


def test_legend_shows_every_band(image, points, sample):
    legend = draw_matches(image, points, sample, 0)[-TITLE_HEIGHT:]
    assert len(COLOURS) == len(match_map._bands()) == 5
    for colour in COLOURS:
        assert (legend == colour).all(axis=-1).sum() == 16**2


def test_nothing_to_show(image, points, sample):
    sample.matchings[0].points = sample.matchings[0].points[:0]
    assert draw_matches(image, points, sample, 0) is None
    sample.pop('matchings')
    assert draw_matches(image, points, sample, 0) is None
