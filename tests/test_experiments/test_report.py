import csv
import io
import math
import statistics

import pytest
import torch
from mmengine.config import ConfigDict

from nclr_plugin.experiments.plan import TEST, TestSet
from nclr_plugin.experiments.report import (collect, csv_text, markdown, match_mode,
                                            mean_and_deviation, table)

FAR = TestSet('far', ('model.width=9', ))
RECALLS = {('first', 0): .5, ('first', 1): .75, ('second', 0): 1.}


@pytest.fixture
def runs(make_run, finish):
    """Two rows; of the second only one seed is finished, and it lacks the overlap."""
    runs = [make_run(0, 0), make_run(0, 1), make_run(1, 0), make_run(1, 1)]
    for run in runs[:3]:
        figures = dict(
            calibration__recall_10deg_5m=RECALLS[run.row, run.seed],
            calibration__recall_5deg_2m=.25, matching__learned_soft_accuracy_5px=.9,
            matching__cosine_soft_accuracy_5px=.4)
        if run.row == 'first':
            figures.update(overlap__point_iou=.3)
        finish(run, **figures)
    finish(runs[0], FAR, calibration__recall_10deg_5m=.125)
    return runs


def test_what_is_finished_is_collected_by_row(runs):
    results = collect(runs, [TestSet(TEST), FAR])
    assert [(r.row, r.seed, r.test_set) for r in results] == [
        ('first', 0, TEST), ('first', 0, 'far'), ('first', 1, TEST), ('second', 0, TEST)]
    assert results[0].title == 'The first row' and results[0].samples == 15


def test_csv_has_a_line_for_each_row_seed_and_test_set_with_every_figure(runs):
    lines = list(csv.DictReader(io.StringIO(csv_text(collect(runs, [TestSet(TEST), FAR])))))
    assert [(line['row'], line['seed'], line['test_set']) for line in lines] == [
        ('first', '0', TEST), ('first', '0', 'far'), ('first', '1', TEST), ('second', '0', TEST)]
    assert float(lines[2]['calibration/recall_10deg_5m']) == .75
    assert lines[3]['overlap/point_iou'] == '' and lines[0]['overlap/point_iou'] == '0.3'
    assert lines[0]['commits'] == 'abc' and lines[0]['match'] == 'learned_soft'


def test_table_is_over_seeds_and_shows_the_rows_own_matching(runs):
    first, second = table(collect(runs, [TestSet(TEST), FAR]), TEST)
    deviation = statistics.stdev([.5, .75])
    assert first[''] == 'The first row' and first['seeds'] == '0 1'
    assert first['recall 10 deg, 5 m'] == f'0.625 +- {deviation:.3f}'
    assert first['recall 5 deg, 2 m'] == '0.250', 'equal in all seeds'
    assert (first['matches < 5 px'], second['matches < 5 px']) == ('0.900', '0.400')
    assert (first['overlap IoU, points'], second['overlap IoU, points']) == ('0.300', '-')
    assert first['samples'] == '15' and second['seeds'] == '0'


def test_mean_and_deviation():
    assert mean_and_deviation([2.]) == '2.000'
    assert mean_and_deviation([1., 2., 6.], '.2f') == f'3.00 +- {math.sqrt(7):.2f}'
    assert mean_and_deviation([1., math.nan]) == '-'
    assert mean_and_deviation([1., 2., 3.], '+.1f') == '+2.0 +- 1.0'


@pytest.mark.parametrize('head, mode', [
    (None, 'learned_soft'), (dict(alignment=False), 'cosine_soft'),
    (dict(match='hard'), 'learned_hard'), (dict(alignment=False, match='hard'), 'cosine_hard')])
def test_way_of_matching(head, mode):
    assert match_mode(ConfigDict(model=dict(matching_head=head))) == mode


def test_document_says_where_its_figures_come_from(runs):
    text = markdown(collect(runs, [TestSet(TEST), FAR]), 'python tools/ablation.py a.py')
    assert text.count('| The first row') == 2 and text.count('| Row 2') == 1
    assert text.index('The test set of the configs') < text.index('### Test set far')
    assert 'Commit abc; ' in text and f'torch {torch.__version__}' in text
    assert 'python tools/ablation.py a.py' in text
    assert '###' not in markdown(collect(runs, [TestSet(TEST)]), '')
