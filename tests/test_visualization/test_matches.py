"""Pictures of matches, similarities and overlap: which colour is where."""
import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from nclr_plugin.visualization import (draw_matches, draw_overlap, draw_pixel_similarity,
                                       draw_point_similarity, matches)
from nclr_plugin.visualization.canvas import (BAR_WIDTH, PANEL_WIDTH, TITLE_HEIGHT, colour_scale,
                                              grey)
from nclr_plugin.visualization.matches import (COLOURS, OPACITY, OVERLAP_CLASSES, OVERLAP_COLOURS,
                                               OVERLAP_OPACITY, PURPLE, WIDTH, choose_queries,
                                               classify_overlap)

FACTOR = 9  # of the enlargement of 80 pixels
HEIGHT = 40 * FACTOR


def one_query(sample, monkeypatch, row=0):
    """Leave one point in view, at pixel (32, 23.25), cell (5, 8)."""
    monkeypatch.setattr(matches, 'NUM_QUERIES', 1)
    sample.voxel_points = sample.voxel_points.clone()
    sample.voxel_points[:, 0] = -10
    sample.voxel_points[row] = torch.tensor([8., 1., -0.5])
    return round(23.75 * FACTOR - .5), round(32.5 * FACTOR - .5)


def one_panel(picture, column=0):
    left = column * (WIDTH + BAR_WIDTH + 8)
    return picture[2 * TITLE_HEIGHT:2 * TITLE_HEIGHT + HEIGHT, left:left + WIDTH]


def test_pixels_are_coloured_by_their_similarity(image, points, sample, monkeypatch):
    one_query(sample, monkeypatch, row=3)
    image[:] = 100
    picture = draw_pixel_similarity(image, points, sample, 0)
    for column, (of_points, of_pixels) in enumerate((
            (sample.features.points, sample.features.pixels),
            (sample.features.aligned_points, sample.features.aligned_pixels))):
        similarity = np.array([float(cell @ of_points[3]) for cell in of_pixels[0]])
        panel = one_panel(picture, column).astype(int)
        level = (similarity - similarity.min()) / np.ptp(similarity)
        expected = OPACITY * colour_scale(level).astype(float) + (1 - OPACITY) * 100
        centre = np.arange(2 * FACTOR, HEIGHT, 4 * FACTOR)
        found = panel[centre[:, None], np.arange(2 * FACTOR, WIDTH, 4 * FACTOR)]
        off = np.abs(found - expected.reshape(10, 20, 3)).max(axis=-1)
        # The rest lies under the marks.
        assert (off <= 1).sum() >= 10 * 20 - 2


def test_purple_dot_lies_at_the_true_pixel(image, points, sample, monkeypatch):
    row, column = one_query(sample, monkeypatch)
    for draw in (draw_pixel_similarity, draw_point_similarity):
        picture = draw(image, points, sample, 0)
        for panel in (one_panel(picture, 0), one_panel(picture, 1)):
            v, u = np.nonzero((panel == PURPLE).all(axis=-1))
            assert abs(v.mean() - row) <= .5 and abs(u.mean() - column) <= .5


def test_ring_marks_the_most_similar_pixel(image, points, sample, monkeypatch):
    one_query(sample, monkeypatch)
    sample.features.pixels[0] = -sample.features.points[0]
    sample.features.pixels[0, 2 * 20 + 15] = sample.features.points[0]
    panel = one_panel(draw_pixel_similarity(image * 0, points, sample, 0))
    v, u = np.nonzero((panel == 255).all(axis=-1))
    ring = (np.hypot(v - (2.5 * 4 * FACTOR - .5), u - (15.5 * 4 * FACTOR - .5)) < 14)
    assert ring.sum() > 30
    assert np.hypot(v[ring].mean() - (2.5 * 4 * FACTOR - .5),
                    u[ring].mean() - (15.5 * 4 * FACTOR - .5)) < 1


def test_points_are_coloured_by_their_similarity(image, points, sample, monkeypatch):
    monkeypatch.setattr(matches, 'NUM_QUERIES', 1)
    # One point far from another: u = 39.5 -/+ 60 * 4 / 10.
    sample.voxel_points = torch.tensor([[10., 4., 0], [10., -4., 0], [-5., 0, 0]])
    query = torch.nn.functional.normalize(torch.arange(1., 9), dim=0)
    for features in (sample.features,):
        features.points = torch.stack([query, -query, 0 * query])
        features.pixels = query.expand(1, 200, 8).clone()
        features.aligned_points, features.aligned_pixels = features.points, features.pixels
    picture = draw_point_similarity(image, points, sample, 0)
    assert picture.shape[1] == WIDTH + BAR_WIDTH
    panel = one_panel(picture)
    row, column = round(20 * FACTOR - .5), round(64 * FACTOR - .5)
    assert (panel[row, column] == colour_scale(np.zeros(1))).all()


def test_most_similar_point_may_be_out_of_view(image, points, sample, monkeypatch):
    titles = []
    monkeypatch.setattr(matches, 'titled',
                        lambda panel, title: titles.append(title) or panel)
    one_query(sample, monkeypatch)
    code = sample.features.points[7].clone()
    sample.features.pixels[:] = sample.features.points[:] = -code
    sample.features.pixels[0, 5 * 20 + 8] = sample.features.points[7] = code
    sample.voxel_points[7] = torch.tensor([-4., 1., -0.5])
    draw_point_similarity(image, points, sample, 0)
    assert titles[0] == 'cosine: most similar point 12.0 m away, out of view'
    assert titles[1].startswith('learned alignment: most similar point')


def test_several_queries_stand_one_below_the_other(image, points, sample):
    for draw in (draw_pixel_similarity, draw_point_similarity):
        picture = draw(image, points, sample, 0)
        assert picture.shape == (TITLE_HEIGHT + 3 * (HEIGHT + TITLE_HEIGHT),
                                 2 * (WIDTH + BAR_WIDTH) + 8, 3)
        assert np.array_equal(picture, draw(image, points, sample, 0))


def test_without_alignment_there_is_one_column(image, points, plain):
    picture = draw_pixel_similarity(image, points, plain, 0)
    assert picture.shape[1] == WIDTH + BAR_WIDTH


def test_nothing_to_show(image, points, sample):
    sample.voxel_points = -sample.voxel_points.abs()
    assert draw_pixel_similarity(image, points, sample, 0) is None
    sample.pop('features')
    assert draw_point_similarity(image, points, sample, 0) is None


def test_the_background_has_no_colours(image):
    assert (grey(image) == grey(image)[..., :1]).all()


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


ERROR_FACTOR = 12
ERROR_PANEL = 40 * ERROR_FACTOR + TITLE_HEIGHT


@pytest.mark.parametrize('error, band', [(0., 0), (2.9, 0), (3.1, 1), (5., 2), (10.1, 3),
                                         (20.1, 4), (300., 4)])
def test_dots_lie_at_the_true_pixel_in_the_colour_of_the_error(image, points, sample, error, band):
    found = sample.matchings[0]
    found.true_pixels = torch.tensor([[32., 10.]])
    found.points = points[:1, :3]
    found.cosine_hard = torch.tensor([[32. + .6 * error, 10 - .8 * error]])
    found.learned_soft = found.true_pixels
    picture = draw_matches(image, points, sample, 0)
    row, column = round(10.5 * ERROR_FACTOR - .5), round(32.5 * ERROR_FACTOR - .5)
    assert (picture[TITLE_HEIGHT + row, column] == COLOURS[band]).all()
    assert (picture[ERROR_PANEL + TITLE_HEIGHT + row, column] == COLOURS[0]).all()


def test_titles_say_median_and_share(image, points, sample, monkeypatch):
    titles = []
    monkeypatch.setattr(matches, 'titled', lambda panel, title: titles.append(title) or panel)
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
    assert picture.shape == (ERROR_PANEL + TITLE_HEIGHT, PANEL_WIDTH, 3)
    plain.matchings[0].learned_soft = plain.matchings[0].cosine_soft
    assert draw_matches(image, points, plain, 0).shape == (2 * ERROR_PANEL + TITLE_HEIGHT,
                                                           PANEL_WIDTH, 3)


def test_legend_shows_every_band(image, points, sample):
    legend = draw_matches(image, points, sample, 0)[-TITLE_HEIGHT:]
    assert len(COLOURS) == len(matches.band_labels()) == 5
    for colour in COLOURS:
        assert (legend == colour).all(axis=-1).sum() == 16**2


def test_no_matches_to_show(image, points, sample):
    sample.matchings[0].points = sample.matchings[0].points[:0]
    assert draw_matches(image, points, sample, 0) is None
    sample.pop('matchings')
    assert draw_matches(image, points, sample, 0) is None


ZOOM = 10  # of the enlargement of 40 rows
BROAD = 80 * ZOOM
HIGH = 40 * ZOOM + TITLE_HEIGHT


def overlap_panels(picture):
    """Projection, cells, points in view."""
    return [picture[i * HIGH + TITLE_HEIGHT:(i + 1) * HIGH, :BROAD] for i in range(3)]


def test_cells_are_green_red_yellow_or_as_they_were(image, points, sample):
    sample.gt_pixel_overlap[0, 0, :4] = torch.tensor([True, False, True, False])
    sample.pred_pixel_overlap[0, 0, :4] = torch.tensor([.9, .9, .1, .1])
    _, cells, _ = overlap_panels(draw_overlap(np.full_like(image, 100), points, sample, 0))
    side = 4 * ZOOM
    shown = [cells[side // 2, i * side + side // 2].astype(int) for i in range(4)]
    for (colour, _), found in zip([OVERLAP_CLASSES[i] for i in (3, 1, 2)], shown):
        assert np.abs(found - 100 - OVERLAP_OPACITY * (np.array(colour) - 100)).max() <= 1
    assert (shown[3] == 100).all()
    border = cells[side // 2, 2 * side - 2:2 * side + 2].astype(int)
    assert (border[1] == shown[1]).all() and (border[2] == shown[2]).all()


def test_true_positives_are_green_false_ones_red_and_false_negatives_yellow():
    colours = {meaning: colour for colour, meaning in OVERLAP_CLASSES}
    red, green, blue = colours['true positive']
    assert green > 1.5 * max(red, blue)
    red, green, blue = colours['false positive']
    assert red > 2 * max(green, blue)
    red, green, blue = colours['false negative']
    assert min(red, green) > 2 * blue
    assert [meaning for _, meaning in OVERLAP_CLASSES] == [
        'true negative', 'false positive', 'false negative', 'true positive']


def test_points_in_view_have_the_colour_of_their_class(image, points, sample):
    point = torch.tensor([[8., 1., -0.5]])  # u = 39.5 - 60 / 8 = 32, v = 19.5 + 30 / 8 = 23.25
    sample.voxel_points = point
    for truth, found in ((True, .9), (True, .1)):
        sample.gt_point_overlap = torch.tensor([[truth]])
        sample.pred_point_overlap = torch.tensor([[found]])
        _, _, in_view = overlap_panels(draw_overlap(image, points, sample, 0))
        row, column = round(23.75 * ZOOM - .5), round(32.5 * ZOOM - .5)
        assert (in_view[row, column] == OVERLAP_COLOURS[3 if found > .5 else 2]).all()


def test_false_positives_behind_the_camera_are_seen_from_above(image, points, sample):
    sample.pred_point_overlap = torch.full((1, len(points)), .1)
    wrong = np.array(OVERLAP_CLASSES[1][0])

    def reds(picture):
        above = picture[TITLE_HEIGHT:-TITLE_HEIGHT, BROAD + BAR_WIDTH:]
        return np.nonzero((above == wrong).all(axis=-1))[0]

    assert not len(reds(draw_overlap(image, points, sample, 0)))
    sample.pred_point_overlap[0, -50:] = .9
    rows = reds(draw_overlap(image, points, sample, 0))
    assert len(rows) and rows.min() > (3 * HIGH - TITLE_HEIGHT) / 2


def test_intersection_over_union_is_that_of_all_points(sample):
    _, title = classify_overlap(sample, 'point', 0)
    expected = jaccard_score(sample.gt_point_overlap[0], sample.pred_point_overlap[0] > .6)
    assert title == f'IoU {expected:.3f} (threshold 0.6)'
    sample.gt_pixel_overlap[:] = False
    sample.pred_pixel_overlap[:] = 0
    assert classify_overlap(sample, 'pixel', 0)[1] == 'IoU undefined (threshold 0.5)'


def test_without_overlap_head_there_is_no_picture(image, points, plain):
    assert draw_overlap(image, points, plain, 0) is None
