import cv2
import numpy as np
import pytest

from nclr_plugin.experiments.figure import SERIES, write_figure
from nclr_plugin.experiments.report import Result

pytest.importorskip('matplotlib')


def results(values, test_set='test'):
    return [Result(row, row, seed, test_set, ('abc', ), 9, 'learned_soft', {
        'calibration/recall_10deg_5m': recall, 'calibration/recall_5deg_2m': .5 * recall,
        'calibration/wrong_image_recall_10deg_5m': .2,
        'calibration/identity_recall_10deg_5m': .4})
        for row, recalls in values.items() for seed, recall in enumerate(recalls)]


def coloured(path, colour):
    """Number of pixels of a colour '#rrggbb'."""
    rgb = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    return int((np.abs(picture - rgb).max(-1) <= 2).sum())


def test_bars_are_as_long_as_the_figures(tmp_path):
    areas = []
    for recall in (.4, .8):
        write_figure(results({'a': [recall, recall], 'b': [recall, recall]}), tmp_path / 'x.png')
        areas.append([coloured(tmp_path / 'x.png', colour) for _, _, colour in SERIES])
    legend = .06  # the sample of each colour, and the dots, are in both
    assert areas[1][0] / areas[0][0] == pytest.approx(2, abs=2 * legend)
    assert areas[1][1] / areas[0][1] == pytest.approx(2, abs=3 * legend)
    assert areas[1][2] == pytest.approx(areas[0][2], rel=legend)


def test_a_panel_for_each_test_set_and_missing_figures_leave_gaps(tmp_path):
    one = results({'a': [.5], 'b': [.7]})
    two = one + results({'a': [.5]}, 'far')
    two[0].metrics.clear()
    for name, given in (('one', one[1:]), ('two', two)):
        write_figure(given, tmp_path / f'{name}.png')
    widths = [cv2.imread(str(tmp_path / f'{name}.png')).shape[1] for name in ('one', 'two')]
    assert widths[1] > 1.3 * widths[0]
