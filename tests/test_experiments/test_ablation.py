import csv
import io
import statistics

import cv2
import numpy as np
import pandas
import pytest
import torch
from mmengine.config import ConfigDict

from nclr_plugin.experiments.ablation import (BARS, collect, csv_text, markdown, match_mode, table,
                                              write_figure)
from nclr_plugin.experiments.runs import CONFIG_TEST_SET, TEST, TestSet

FAR = TestSet('far', ('model.width=9', ))
RECALLS = {('first', 0): .5, ('first', 1): .75, ('second', 0): 1.}


@pytest.fixture
def run(configs, tools, tmp_path, load_tool):
    """Return a function that runs the command on the two rows."""
    return lambda *argv: load_tool('ablation').main([
        *map(str, configs), '--out', str(tmp_path / 'out'), *map(str, argv)], tools.folder)


def test_runs_once_and_writes_results(run, tools, tmp_path, capsys):
    run('--seeds', 0, 1, '--jobs', 2, '--test-set', 'far', 'model.width=9')
    assert len(tools.calls()) == 4 * 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '4 runs, 0 of them already finished'
    assert lines[4].startswith('[4/4] 0:00:') and 'left' not in lines[4] and 'left' in lines[1]
    assert 'recall 10 deg, 5 m test 0.500 (mismatched image 0.250), far 0.500' in lines[1]
    results = {path.suffix: path for path in (tmp_path / 'out').glob('results.*')}
    assert set(results) == {'.csv', '.md', '.png'}
    assert len(results['.csv'].read_text().splitlines()) == 1 + 4 * 2
    assert "--test-set far model.width=9" in results['.md'].read_text()

    for path in results.values():
        path.unlink()
    run('--seeds', 0, 1, '--test-set', 'far', 'model.width=9')
    assert len(tools.calls()) == 12
    assert capsys.readouterr().out == '4 runs, 4 of them already finished\n'
    assert all(path.is_file() for path in results.values())


def test_a_failed_run_is_named_and_the_others_go_on(run, tools, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        run('--seeds', 13, 0)
    lines = str(exit_info.value.code).splitlines()
    assert lines[0] == '2 of 4 runs failed:'
    assert lines[1].startswith('  first seed 13: failed: exit status 1, see ')
    assert lines[1].endswith('first/seed_13/train.log: RuntimeError: an unlucky number')
    assert len((tmp_path / 'out' / 'results.csv').read_text().splitlines()) == 1 + 2
    assert '[4/4]' in capsys.readouterr().out


def test_an_error_of_ours_does_not_stop_the_others_either(run, tools, capsys):
    (tools.folder / 'test.py').write_text('')  # leaves no figures
    with pytest.raises(SystemExit, match='2 of 2 runs failed'):
        run()


def test_mistakes_end_in_a_sentence(run, tools, load_tool):
    with pytest.raises(SystemExit, match='FileNotFoundError: gone.py: no such config'):
        load_tool('ablation').main(['gone.py', '--out', 'x'])
    with pytest.raises(SystemExit, match='ValueError: .* does not take the options'):
        run('--test-set', 'far', 'model.width.a=1')
    with pytest.raises(SystemExit, match='--jobs 0: expected at least 1'):
        run('--jobs', 0)
    assert not tools.calls()


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
    results = collect(runs, [CONFIG_TEST_SET, FAR])
    assert list(results[['row', 'seed', 'test_set']].itertuples(index=False, name=None)) == [
        ('first', 0, TEST), ('first', 0, 'far'), ('first', 1, TEST), ('second', 0, TEST)]
    assert results['title'][0] == 'The first row' and results['samples'][0] == 15


def test_csv_has_a_line_for_each_row_seed_and_test_set_with_every_figure(runs):
    lines = list(csv.DictReader(io.StringIO(csv_text(collect(runs, [CONFIG_TEST_SET, FAR])))))
    assert [(line['row'], line['seed'], line['test_set']) for line in lines] == [
        ('first', '0', TEST), ('first', '0', 'far'), ('first', '1', TEST), ('second', '0', TEST)]
    assert float(lines[2]['calibration/recall_10deg_5m']) == .75
    assert lines[3]['overlap/point_iou'] == '' and lines[0]['overlap/point_iou'] == '0.3'
    assert lines[0]['commits'] == 'abc' and lines[0]['match'] == 'learned_soft'


def test_table_is_over_seeds_and_shows_the_rows_own_matching(runs):
    first, second = table(collect(runs, [CONFIG_TEST_SET, FAR]), TEST)
    deviation = statistics.stdev([.5, .75])
    assert first[''] == 'The first row' and first['seeds'] == '0 1'
    assert first['recall 10 deg, 5 m'] == f'0.625 +- {deviation:.3f}'
    assert first['recall 5 deg, 2 m'] == '0.250', 'equal in all seeds'
    assert (first['matches < 5 px'], second['matches < 5 px']) == ('0.900', '0.400')
    assert (first['overlap IoU, points'], second['overlap IoU, points']) == ('0.300', '-')
    assert first['samples'] == '15' and second['seeds'] == '0'


@pytest.mark.parametrize('head, mode', [
    (None, 'learned_soft'), (dict(alignment=False), 'cosine_soft'),
    (dict(match='hard'), 'learned_hard'), (dict(alignment=False, match='hard'), 'cosine_hard')])
def test_way_of_matching(head, mode):
    assert match_mode(ConfigDict(model=dict(matching_head=head))) == mode


def test_document_says_where_its_figures_come_from(runs):
    text = markdown(collect(runs, [CONFIG_TEST_SET, FAR]), 'python tools/ablation.py a.py')
    assert text.count('| The first row') == 2 and text.count('| Row 2') == 1
    assert text.index('The test set of the configs') < text.index('### Test set far')
    assert 'Commit abc; ' in text and f'torch {torch.__version__}' in text
    assert 'python tools/ablation.py a.py' in text
    assert '###' not in markdown(collect(runs, [CONFIG_TEST_SET]), '')


def results(values, test_set='test'):
    return pandas.DataFrame([{
        'row': row, 'title': row, 'seed': seed, 'test_set': test_set, 'match': 'learned_soft',
        'samples': 9, 'commits': 'abc', 'calibration/recall_10deg_5m': recall,
        'calibration/recall_5deg_2m': .5 * recall,
        'calibration/mismatched_image_recall_10deg_5m': .2,
        'calibration/identity_recall_10deg_5m': .4}
        for row, recalls in values.items() for seed, recall in enumerate(recalls)])


def coloured(path, colour):
    """Count the pixels of a colour '#rrggbb'."""
    rgb = np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)])
    picture = cv2.imread(str(path))[..., ::-1].astype(int)
    return int((np.abs(picture - rgb).max(-1) <= 2).sum())


def test_bars_are_as_long_as_the_figures(tmp_path):
    areas = []
    for recall in (.4, .8):
        write_figure(results({'a': [recall, recall], 'b': [recall, recall]}), tmp_path / 'x.png')
        areas.append([coloured(tmp_path / 'x.png', colour) for _, _, colour in BARS])
    legend = .06  # the sample of each colour, and the dots, are in both
    assert areas[1][0] / areas[0][0] == pytest.approx(2, abs=2 * legend)
    assert areas[1][1] / areas[0][1] == pytest.approx(2, abs=3 * legend)
    assert areas[1][2] == pytest.approx(areas[0][2], rel=legend)


def test_a_panel_for_each_test_set_and_missing_figures_leave_gaps(tmp_path):
    one = results({'a': [.5], 'b': [.7]})
    two = pandas.concat([one, results({'a': [.5]}, 'far')], ignore_index=True)
    two.loc[0, [name for name in two if '/' in name]] = float('nan')
    for name, given in (('one', one[1:]), ('two', two)):
        write_figure(given, tmp_path / f'{name}.png')
    widths = [cv2.imread(str(tmp_path / f'{name}.png')).shape[1] for name in ('one', 'two')]
    assert widths[1] > 1.3 * widths[0]
