import csv
import io
import math
import statistics

import cv2
import numpy as np
import pandas
import pytest
import torch

from nclr_plugin.experiments.label_efficiency import plan_label_runs
from nclr_plugin.experiments.label_report import (COLOURS, SCRATCH_COLOUR, choose_metrics, collect,
                                                  csv_of_cells, csv_of_runs, markdown, table,
                                                  write_figure)

SCRATCH = {(1., 0): .25, (1., 1): .375, (1., 2): .5, (100., 0): .75, (100., 1): .75}
PRETRAINED = {(1., 0): .5, (1., 1): .5, (1., 2): .75, (100., 1): .875, (100., 2): .5}
AP40 = 'Kitti metric/pred_instances_3d/KITTI/Overall_3D_AP40_moderate'


def frame(rows):
    """Results by initialisation, fraction, seed and metrics."""
    return pandas.DataFrame([
        dict(init=init, fraction=fraction, seed=seed, samples_per_process=30, commits='abc',
             **metrics) for init, fraction, seed, metrics in rows])


@pytest.fixture
def results():
    """Return results without seed 2 from scratch and seed 0 pretrained on all labels."""
    return frame([(init, fraction, seed, dict(miou=value, road=.5))
                  for init, values in (('scratch', SCRATCH), ('pretrained', PRETRAINED))
                  for (fraction, seed), value in values.items()])


def test_table_is_over_seeds_and_compares_seed_by_seed(results):
    first, last = table(results, 'miou')
    of = statistics.stdev
    assert first == {
        'labels': '1%', 'scratch': f'0.375 +- {of([.25, .375, .5]):.3f}',
        'pretrained': f'0.583 +- {of([.5, .5, .75]):.3f}',
        'pretrained - scratch': f'+0.208 +- {of([.25, .125, .25]):.3f}', 'seeds': '0 1 2'}
    assert last['pretrained'] == f'0.688 +- {of([.875, .5]):.3f}' and last['scratch'] == '0.750'
    assert last['pretrained - scratch'] == '+0.125', 'only seed 1 has both'
    assert last['seeds'] == 'scratch 0 1; pretrained 1 2'


def test_best_run_beside_the_mean(results):
    first, last = table(results, 'miou', best=True)
    assert (first['scratch, best'], first['pretrained, best']) == ('0.500', '0.750')
    assert (last['scratch, best'], last['pretrained, best']) == ('0.750', '0.875')
    assert 'scratch, best' not in table(results, 'miou')[0]


def test_unfinished_cells_are_gaps(results):
    finished = (results['init'] == 'scratch') | (results['fraction'] == 1)
    rows = table(results[finished], 'miou', best=True)
    assert (rows[1]['pretrained'], rows[1]['pretrained - scratch']) == ('-', '-')
    assert rows[1]['pretrained, best'] == 'nan' and rows[1]['scratch'] == '0.750'
    assert rows[1]['seeds'] == 'scratch 0 1; pretrained -'
    alone = table(results[results['init'] == 'pretrained'], 'miou')
    assert list(alone[0]) == ['labels', 'pretrained', 'seeds']


def test_percentages_have_two_decimals(results):
    big = results.assign(**{AP40: 100 * results['miou']})
    assert table(big, AP40)[0]['scratch'] == '37.50 +- 12.50'


def test_csv_of_means(results):
    lines = list(csv.DictReader(io.StringIO(csv_of_cells(results, ['miou', 'road']))))
    assert len(lines) == 2 * 2 * 2
    line = next(line for line in lines if (line['metric'], line['init'], line['fraction']) ==
                ('miou', 'pretrained', '1'))
    assert float(line['mean']) == pytest.approx(statistics.mean([.5, .5, .75]))
    assert float(line['std']) == pytest.approx(statistics.stdev([.5, .5, .75]))
    assert (line['best'], line['runs'], line['seeds']) == ('0.75', '3', '0 1 2')
    assert line['samples_per_process'] == '30'
    one = list(csv.DictReader(io.StringIO(csv_of_cells(results[:1], ['miou']))))
    assert math.isnan(float(one[0]['std']))


def test_csv_of_runs_has_every_figure(results):
    results.loc[0, 'pq'] = .1
    lines = list(csv.DictReader(io.StringIO(csv_of_runs(results))))
    assert len(lines) == len(results)
    assert (lines[0]['pq'], lines[1]['pq'], lines[1]['miou']) == ('0.1', '', '0.375')
    assert (lines[2]['init'], lines[2]['fraction'], lines[2]['seed']) == ('scratch', '1', '2')


def test_metrics_are_the_usual_ones_or_those_asked_for(results):
    assert choose_metrics(results) == ['miou']
    panoptic = frame([('scratch', 1., 0, dict(pq=.1, miou=.2, pq_dagger=.3))])
    assert choose_metrics(panoptic) == ['miou', 'pq']
    kitti = frame([('scratch', 1., 0, {
        AP40: 1., AP40.replace('3D_', 'BEV_'): 1., AP40.replace('moderate', 'easy'): 1.})])
    assert choose_metrics(kitti) == [AP40]
    assert choose_metrics(kitti, ['*BEV_AP40*', '*easy']) == [
        AP40.replace('3D_', 'BEV_'), AP40.replace('moderate', 'easy')]
    with pytest.raises(ValueError, match='the tests have no metric iou; choose from: miou, road'):
        choose_metrics(results, ['road', 'iou'])
    with pytest.raises(ValueError, match='choose from: loss'):
        choose_metrics(frame([('scratch', 1., 0, dict(loss=1.))]))


def test_document_says_where_its_figures_come_from(results):
    text = markdown(results, ['miou'], 'python tools/label_efficiency.py a.py')
    assert text.count('| 1% ') == 1 and 'miou; mean +- standard deviation' in text
    assert 'Commit abc; ' in text and f'torch {torch.__version__}' in text
    assert 'python tools/label_efficiency.py a.py' in text and '###' not in text
    assert '### road' in markdown(results, ['miou', 'road'], '')


def test_a_metric_that_a_run_lacks_is_a_gap(results):
    results.loc[0, 'miou'] = float('nan')
    assert table(results, 'miou')[0]['scratch'] == '-'
    line = next(csv.DictReader(io.StringIO(csv_of_cells(results, ['miou']))))
    assert math.isnan(float(line['mean'])) and math.isnan(float(line['best']))


def test_finished_runs_are_collected(fine_tuning, weights, finish, tmp_path):
    runs = plan_label_runs(str(fine_tuning), dict(ours=str(weights)), [1, 100], [4],
                           str(tmp_path / 'out'))
    finish(runs[1].run, miou=.5)
    result, = collect(runs).to_dict('records')
    assert result == dict(init='ours', fraction=1, seed=4, samples_per_process=15, commits='abc',
                          miou=.5)


def two_runs(values, metric='miou'):
    """Two runs of each cell, 0.1 apart, around values by initialisation and fraction."""
    return frame([(init, fraction, seed, {metric: value + (seed - .5) * .1})
                  for init, row in values.items() for fraction, value in row.items()
                  for seed in (0, 1)])


def coloured(path, colour):
    """Rows and columns of the panel's pixels of a colour '#rrggbb'; the legend lies below."""
    rgb = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    return np.nonzero((np.abs(picture - rgb).max(-1) <= 2)[:int(.85 * len(picture))])


def test_lines_are_where_the_figures_are(tmp_path):
    rows = {'scratch': {1: .2, 10: .4, 100: .6}, 'ours': {1: .5, 10: .5, 100: .5}}
    write_figure(two_runs(rows), ['miou'], tmp_path / 'x.png')
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
    some = two_runs({'scratch': {1: .2, 100: .6}, 'ours': {1: .5}})
    write_figure(some[:1], ['miou'], tmp_path / 'one.png')
    both = pandas.concat([some, two_runs({'theirs': {100: .3}}, 'pq')])
    write_figure(both, ['miou', 'pq'], tmp_path / 'two.png')
    widths = [cv2.imread(str(tmp_path / f'{name}.png')).shape[1] for name in ('one', 'two')]
    assert widths[1] > 1.8 * widths[0]
