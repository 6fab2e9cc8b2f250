import cv2
import numpy as np
import pytest

from nclr_plugin.experiments.label_figure import COLOURS, SCRATCH_COLOUR, write_figure
from nclr_plugin.experiments.label_report import LabelResult

pytest.importorskip('matplotlib')


def results(values, metric='miou'):
    """Two runs of each cell, 0.1 apart, around values by initialisation and fraction."""
    return [LabelResult(init, fraction, seed, ('abc', ), 9, {metric: value + (seed - .5) * .1})
            for init, row in values.items() for fraction, value in row.items() for seed in (0, 1)]


def coloured(path, colour):
    """Rows and columns of the panel's pixels of a colour '#rrggbb'; the legend lies below."""
    rgb = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    return np.nonzero((np.abs(picture - rgb).max(-1) <= 2)[:int(.85 * len(picture))])


def test_lines_are_where_the_figures_are(tmp_path):
    rows = {'scratch': {1: .2, 10: .4, 100: .6}, 'ours': {1: .5, 10: .5, 100: .5}}
    write_figure(results(rows), ['miou'], tmp_path / 'x.png')
    ours, columns = coloured(tmp_path / 'x.png', COLOURS[0])
    # Bars are columns with many pixels; the axis is logarithmic, so they are equally far apart.
    counts = np.bincount(columns)
    high = np.nonzero(counts > .6 * counts.max())[0]
    bars = [group.mean() for group in np.split(high, np.nonzero(np.diff(high) > 20)[0] + 1)]
    assert len(bars) == 3
    assert bars[1] - bars[0] == pytest.approx(bars[2] - bars[1], abs=2)

    scratch, columns = coloured(tmp_path / 'x.png', SCRATCH_COLOUR)
    heights = [scratch[np.abs(columns - bar) < 20].mean() for bar in bars]
    middle = ours.mean()
    # 0.2 is 0.3 below ours, 0.4 is 0.1 below, 0.6 is 0.1 above.
    step = (heights[0] - heights[1]) / 2
    assert heights[1] - middle == pytest.approx(step, abs=.25 * step)
    assert middle - heights[2] == pytest.approx(step, abs=.25 * step)


def test_a_panel_for_each_metric_and_gaps_for_what_is_missing(tmp_path):
    some = results({'scratch': {1: .2, 100: .6}, 'ours': {1: .5}})
    write_figure(some[:1], ['miou'], tmp_path / 'one.png')
    write_figure(some + results({'theirs': {100: .3}}, 'pq'), ['miou', 'pq'], tmp_path / 'two.png')
    widths = [cv2.imread(str(tmp_path / f'{name}.png')).shape[1] for name in ('one', 'two')]
    assert widths[1] > 1.8 * widths[0]
