import numpy as np
import torch
from sklearn.metrics import jaccard_score

from nclr_plugin.visualization import draw_overlap
from nclr_plugin.visualization.canvas import BAR_WIDTH, TITLE_HEIGHT
from nclr_plugin.visualization.overlap_map import CLASSES, COLOURS, OPACITY, classify_overlap

FACTOR = 10  # of the enlargement of 40 rows
WIDTH = 80 * FACTOR
PANEL = 40 * FACTOR + TITLE_HEIGHT


def panels(picture):
    """Projection, cells, points in view."""
    return [picture[i * PANEL + TITLE_HEIGHT:(i + 1) * PANEL, :WIDTH] for i in range(3)]


def test_cells_are_green_red_yellow_or_as_they_were(image, points, sample):
    sample.gt_pixel_overlap[0, 0, :4] = torch.tensor([True, False, True, False])
    sample.pred_pixel_overlap[0, 0, :4] = torch.tensor([.9, .9, .1, .1])
    _, cells, _ = panels(draw_overlap(np.full_like(image, 100), points, sample, 0))
    side = 4 * FACTOR
    shown = [cells[side // 2, i * side + side // 2].astype(int) for i in range(4)]
    for (colour, _), found in zip((CLASSES[3], CLASSES[1], CLASSES[2]), shown):
        assert np.abs(found - (OPACITY * np.array(colour) + (1 - OPACITY) * 100)).max() <= 1
    assert (shown[3] == 100).all()
    border = cells[side // 2, 2 * side - 2:2 * side + 2].astype(int)
    assert (border[1] == shown[1]).all() and (border[2] == shown[2]).all()


def test_right_is_green_wrong_is_red_missed_is_yellow():
    colours = {meaning: colour for colour, meaning in CLASSES}
    red, green, blue = colours['rightly found']
    assert green > 1.5 * max(red, blue)
    red, green, blue = colours['wrongly found']
    assert red > 2 * max(green, blue)
    red, green, blue = colours['missed']
    assert min(red, green) > 2 * blue
    assert [meaning for _, meaning in CLASSES] == ['rightly left out', 'wrongly found', 'missed',
                                                   'rightly found']


def test_points_in_view_have_the_colour_of_their_class(image, points, sample):
    point = torch.tensor([[8., 1., -0.5]])  # u = 39.5 - 60 / 8 = 32, v = 19.5 + 30 / 8 = 23.25
    sample.voxel_points = point
    for truth, found in ((True, .9), (True, .1)):
        sample.gt_point_overlap = torch.tensor([[truth]])
        sample.pred_point_overlap = torch.tensor([[found]])
        _, _, in_view = panels(draw_overlap(image, points, sample, 0))
        row, column = round(23.75 * FACTOR - .5), round(32.5 * FACTOR - .5)
        assert (in_view[row, column] == COLOURS[3 if found > .5 else 2]).all()


def test_false_positives_behind_the_camera_are_seen_from_above(image, points, sample):
    sample.pred_point_overlap = torch.full((1, len(points)), .1)
    wrong = np.array(CLASSES[1][0])

    def reds(picture):
        above = picture[TITLE_HEIGHT:-TITLE_HEIGHT, WIDTH + BAR_WIDTH:]
        return np.nonzero((above == wrong).all(axis=-1))[0]

    assert not len(reds(draw_overlap(image, points, sample, 0)))
    sample.pred_point_overlap[0, -50:] = .9
    rows = reds(draw_overlap(image, points, sample, 0))
    assert len(rows) and rows.min() > (3 * PANEL - TITLE_HEIGHT) / 2


def test_intersection_over_union_is_that_of_all_points(sample):
    _, title = classify_overlap(sample, 'point', 0)
    expected = jaccard_score(sample.gt_point_overlap[0], sample.pred_point_overlap[0] > .6)
    assert title == f'IoU {expected:.3f} (threshold 0.6)'
    sample.gt_pixel_overlap[:] = False
    sample.pred_pixel_overlap[:] = 0
    assert classify_overlap(sample, 'pixel', 0)[1] == 'IoU undefined (threshold 0.5)'


def test_without_overlap_head_there_is_no_picture(image, points, plain):
    assert draw_overlap(image, points, plain, 0) is None
