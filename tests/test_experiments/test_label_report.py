import csv
import io
import math
import statistics

import pytest
import torch

from nclr_plugin.experiments.label_plan import plan_label_runs
from nclr_plugin.experiments.label_report import (LabelResult, choose_metrics, collect,
                                                  csv_of_cells, csv_of_runs, markdown, table)

SCRATCH = {(1., 0): .25, (1., 1): .375, (1., 2): .5, (100., 0): .75, (100., 1): .75}
PRETRAINED = {(1., 0): .5, (1., 1): .5, (1., 2): .75, (100., 1): .875, (100., 2): .5}
AP40 = 'Kitti metric/pred_instances_3d/KITTI/Overall_3D_AP40_moderate'


@pytest.fixture
def results():
    """Seed 2 from scratch and seed 0 pretrained are not finished on all labels."""
    return [LabelResult(init, fraction, seed, ('abc', ), 30, {'miou': value, 'road': .5})
            for init, values in (('scratch', SCRATCH), ('pretrained', PRETRAINED))
            for (fraction, seed), value in values.items()]


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
    rows = table([r for r in results if r.init == 'scratch' or r.fraction == 1], 'miou', best=True)
    assert (rows[1]['pretrained'], rows[1]['pretrained - scratch']) == ('-', '-')
    assert rows[1]['pretrained, best'] == 'nan' and rows[1]['scratch'] == '0.750'
    assert rows[1]['seeds'] == 'scratch 0 1; pretrained -'
    alone = table([r for r in results if r.init == 'pretrained'], 'miou')
    assert list(alone[0]) == ['labels', 'pretrained', 'seeds']


def test_percentages_have_two_decimals(results):
    big = [r._replace(metrics={AP40: 100 * r.get('miou')}) for r in results]
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
    results[0].metrics['pq'] = .1
    lines = list(csv.DictReader(io.StringIO(csv_of_runs(results))))
    assert len(lines) == len(results)
    assert (lines[0]['pq'], lines[1]['pq'], lines[1]['miou']) == ('0.1', '', '0.375')
    assert (lines[2]['init'], lines[2]['fraction'], lines[2]['seed']) == ('scratch', '1', '2')


def test_metrics_are_the_usual_ones_or_those_asked_for(results):
    assert choose_metrics(results) == ['miou']
    panoptic = results[0]._replace(metrics={'pq': .1, 'miou': .2, 'pq_dagger': .3})
    assert choose_metrics([panoptic]) == ['miou', 'pq']
    kitti = results[0]._replace(metrics={
        AP40: 1., AP40.replace('3D_', 'BEV_'): 1., AP40.replace('moderate', 'easy'): 1.})
    assert choose_metrics([kitti]) == [AP40]
    assert choose_metrics([kitti], ['*BEV_AP40*', '*easy']) == [
        AP40.replace('3D_', 'BEV_'), AP40.replace('moderate', 'easy')]
    with pytest.raises(ValueError, match='no figure of the tests is named iou; choose from: miou, '
                                         'road'):
        choose_metrics(results, ['road', 'iou'])
    with pytest.raises(ValueError, match='choose from: loss'):
        choose_metrics([results[0]._replace(metrics={'loss': 1.})])


def test_document_says_where_its_figures_come_from(results):
    text = markdown(results, ['miou'], 'python tools/label_efficiency.py a.py')
    assert text.count('| 1% ') == 1 and 'miou; mean +- standard deviation' in text
    assert 'Commit abc; ' in text and f'torch {torch.__version__}' in text
    assert 'python tools/label_efficiency.py a.py' in text and '###' not in text
    assert '### road' in markdown(results, ['miou', 'road'], '')


def test_finished_runs_are_collected(fine_tuning, weights, finish, tmp_path):
    runs = plan_label_runs(str(fine_tuning), dict(ours=str(weights)), [1, 100], [4],
                           str(tmp_path / 'out'))
    finish(runs[1].run, miou=.5)
    result, = collect(runs)
    assert result == LabelResult('ours', 1, 4, ('abc', ), 15, {'miou': .5})
