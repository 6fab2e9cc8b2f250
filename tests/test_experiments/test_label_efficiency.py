"""Label fractions: the runs, the table of their results and its figure."""
import csv
import io
import math
import os
import shutil
import statistics
import sys

import cv2
import numpy as np
import pandas
import pytest
import torch

from nclr_plugin.experiments import label_efficiency
from nclr_plugin.experiments.label_efficiency import (COLOURS, SCRATCH_COLOUR, choose_metrics,
                                                      collect, csv_of_cells, csv_of_runs, markdown,
                                                      parse_checkpoints, plan_label_runs, table,
                                                      write_figure)
from nclr_plugin.experiments.runs import differences, training_settings

SCRATCH = {(1., 0): .25, (1., 1): .375, (1., 2): .5, (100., 0): .75, (100., 1): .75}
PRETRAINED = {(1., 0): .5, (1., 1): .5, (1., 2): .75, (100., 1): .875, (100., 2): .5}
AP40 = 'Kitti metric/pred_instances_3d/KITTI/Overall_3D_AP40_moderate'


def cells(document):
    """Cells of the tables of a document, without the rule below the header."""
    return [[cell.strip() for cell in line.strip('|').split('|')]
            for line in document.splitlines() if line.startswith('| ')]


@pytest.fixture
def plan(fine_tuning, weights, tmp_path):
    """Return a function that plans the runs of the config."""

    def plan(fractions=(1, 10), seeds=(0, 1), options=(), checkpoints=None):
        checkpoints = {'pretrained': str(weights)} if checkpoints is None else checkpoints
        return plan_label_runs(str(fine_tuning), checkpoints, fractions, seeds,
                               str(tmp_path / 'out'), options)

    return plan


def test_every_combination_is_a_run_and_a_seed_is_finished_first(plan, tmp_path):
    runs = plan((10, .1, 10))
    assert [(r.init, r.fraction, r.run.seed) for r in runs] == [
        (init, fraction, seed) for seed in (0, 1) for fraction in (.1, 10)
        for init in ('scratch', 'pretrained')]
    assert runs[1].run.folder == tmp_path / 'out' / 'pretrained' / 'fraction_0.1' / 'seed_0'
    assert len({r.run.folder for r in runs}) == len(runs)


def test_config_has_the_fraction_and_the_weights_of_the_run(plan, weights):
    scratch, pretrained = (r.run.load() for r in plan([.1], [5], ['model.width=6']))
    for config, checkpoint in ((scratch, None), (pretrained, str(weights))):
        assert config.train_dataloader.dataset.ann_file == 'infos_train_0.1.pkl'
        assert config.model.init_cfg.checkpoint == checkpoint
        assert config.randomness.seed == 5 and config.model.width == 6


def test_settings_know_the_weights_by_their_content(plan, weights, tmp_path):
    before = training_settings(plan()[1].run)
    moved = weights.rename(tmp_path / 'moved.pth')
    assert training_settings(plan(checkpoints={'pretrained': str(moved)})[1].run) == before
    moved.write_bytes(b'other weights')
    after = training_settings(plan(checkpoints={'pretrained': str(moved)})[1].run)
    assert differences(before, after) == ['model.init_cfg.checkpoint']
    assert str(tmp_path) not in str(after)


def test_names_of_checkpoints(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a=b.pth').write_bytes(b'')
    assert parse_checkpoints([str(weights)]) == {'pretrained': str(weights)}
    assert parse_checkpoints([f'ours={weights}', 'a=b.pth']) == {
        'ours': str(weights), 'pretrained': 'a=b.pth'}
    with pytest.raises(FileNotFoundError, match='no such file gone.pth; expected FILE or NAME='):
        parse_checkpoints(['ours=gone.pth'])
    for words in ([f'scratch={weights}'], [f'a/b={weights}'], [f'={weights}'], [str(weights)] * 2):
        with pytest.raises(ValueError, match='with a unique name'):
            parse_checkpoints(words)


@pytest.mark.parametrize('fraction', [0, -1, 100.5, float('nan')])
def test_fractions_are_percent(plan, fraction):
    with pytest.raises(ValueError, match='--fractions .*: expected percent, above 0 and at most'):
        plan([fraction])


@pytest.mark.parametrize('name, needed', [
    ('ann_file', 'a label fraction needs'), ('NCLRPretrained', 'pretrained weights need')])
def test_a_config_that_takes_no_fraction_or_no_weights_is_refused(plan, fine_tuning, name, needed):
    fine_tuning.write_text(fine_tuning.read_text().replace(name, 'Other'))
    with pytest.raises(ValueError, match=f'tuning.py: {needed}'):
        plan()


def test_a_config_that_loads_weights_where_resuming_drops_them_is_refused(plan, fine_tuning):
    fine_tuning.write_text(fine_tuning.read_text() + "load_from = 'x.pth'\n")
    with pytest.raises(ValueError, match="load_from='x.pth', which a resumable training ignores"):
        plan()


def test_mistakes_are_found_while_planning(plan, tmp_path):
    with pytest.raises(FileNotFoundError, match='gone.py: no such config'):
        plan_label_runs('gone.py', {}, [1], [0], str(tmp_path))
    with pytest.raises(ValueError, match='does not take the options .*model.width.a=1'):
        plan(options=['model.width.a=1'])


@pytest.fixture
def run(fine_tuning, weights, tools, tmp_path, load_tool):
    """Return a function that runs the command with two fractions and two seeds."""
    return lambda *argv: load_tool('label_efficiency').main([
        str(fine_tuning), '--checkpoint', str(weights), '--fractions', '1', '10', '--seeds', '0',
        '1', '--out', str(tmp_path / 'out'), *map(str, argv)], tools.folder)


@pytest.fixture
def no_picture(monkeypatch):
    """Skip the pictures, which take longer than the runs here."""
    monkeypatch.setattr(label_efficiency, 'write_figure', lambda *_: None)


def test_runs_once_and_writes_results(run, tools, tmp_path, capsys):
    run('--jobs', 2)
    assert len(tools.calls()) == 8 * 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '8 runs, 0 of them already finished'
    assert sum('pretrained/fraction_10 seed 1: miou 0.260' in line for line in lines) == 1
    out = tmp_path / 'out'
    with (out / 'runs.csv').open() as file:
        found = {(r['init'], r['fraction'], r['seed']): float(r['miou'])
                 for r in csv.DictReader(file)}
    assert found == pytest.approx({
        (init, f'{fraction}', f'{seed}'): .2 * (init == 'pretrained') + fraction / 200 + .01 * seed
        for init in ('scratch', 'pretrained') for fraction in (1, 10) for seed in (0, 1)})
    document = (out / 'results.md').read_text()
    assert cells(document)[:2] == [
        ['labels', 'scratch', 'pretrained', 'pretrained - scratch', 'seeds'],
        ['1%', '0.010 +- 0.007', '0.210 +- 0.007', '+0.200', '0 1']]
    assert 'python tools/label_efficiency.py ' in document and '--seeds 0 1' in document
    assert (out / 'results.csv').is_file() and (out / 'results.png').is_file()

    run()
    assert len(tools.calls()) == 16
    assert capsys.readouterr().out == '8 runs, 8 of them already finished\n'


@pytest.mark.usefixtures('no_picture')
def test_more_seeds_and_fractions_leave_what_is_finished(run, tools, tmp_path):
    run('--seeds', 0, '--fractions', 1)
    run('--seeds', 0, 1, '--fractions', 1)
    assert len(tools.calls()) == 2 * 4
    shutil.rmtree(str(tmp_path / 'out' / 'scratch' / 'fraction_1' / 'seed_1'))
    run('--seeds', 0, 1, '--fractions', 1, 10)
    assert len(tools.calls()) == 2 * 9


@pytest.mark.usefixtures('no_picture')
def test_other_weights_do_not_mix_with_finished_runs(run, tools, weights, capsys):
    run()
    weights.write_bytes(b'other weights')
    with pytest.raises(SystemExit) as exit_info:
        run()
    message = str(exit_info.value.code)
    assert 'contains a training with other settings: model.init_cfg.checkpoint' in message
    assert len(tools.calls()) == 16, 'from scratch is not run again, pretrained not at all'


@pytest.mark.usefixtures('no_picture')
def test_metrics_may_be_named_and_renamed_without_running_again(run, tools, tmp_path):
    with pytest.raises(SystemExit, match='have no metric ap; choose from: .*car, miou'):
        run('--metrics', 'ap')
    assert len(tools.calls()) == 16
    assert [path.name for path in (tmp_path / 'out').glob('*.*')] == ['runs.csv']
    run('--metrics', 'car', 'm*u', '--best')
    document = (tmp_path / 'out' / 'results.md').read_text()
    assert '### car' in document and '### miou' in document and 'scratch, best' in document
    assert len(tools.calls()) == 16


@pytest.mark.usefixtures('no_picture')
def test_jobs_are_listed_and_not_run(run, tools, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run('--fractions', 1)
    capsys.readouterr()
    calls = len(tools.calls())
    run('--list', 'torchrun', '--gpus', 2)
    comment, *lines = capsys.readouterr().out.splitlines()
    assert comment.startswith('# 4 of 8 runs are left') and len(lines) == 4
    assert all('torchrun --standalone --nproc_per_node 2 tools/train.py ' in x for x in lines)
    assert len(tools.calls()) == calls
    for line in lines:
        # Without torchrun, as this machine would; afterwards the command finds them finished.
        line = line.replace('torchrun --standalone --nproc_per_node 2', sys.executable)
        assert os.system(line) == 0
    run()
    assert len(tools.calls()) == calls + 8
    assert capsys.readouterr().out == '8 runs, 8 of them already finished\n'


@pytest.mark.usefixtures('no_picture')
def test_a_failed_run_is_named_and_the_others_go_on(run, tmp_path):
    with pytest.raises(SystemExit) as exit_info:
        run('--seeds', 13, 0, '--fractions', 1)
    lines = str(exit_info.value.code).splitlines()
    assert lines[0] == '2 of 4 runs failed:'
    assert lines[1].startswith('  scratch/fraction_1 seed 13: failed: exit status 1, see ')
    row = cells((tmp_path / 'out' / 'results.md').read_text())[1]
    assert row[:3] == ['1%', '0.005', '0.205']


def test_mistakes_end_in_a_sentence(run, fine_tuning, load_tool):
    main = load_tool('label_efficiency').main
    with pytest.raises(SystemExit, match='FileNotFoundError: gone.py: no such config'):
        main(['gone.py', '--out', 'x'])
    with pytest.raises(SystemExit, match='ValueError: --fractions 0: expected percent'):
        run('--fractions', 0)
    with pytest.raises(SystemExit, match='FileNotFoundError: --checkpoint gone.pth: no such file'):
        run('--checkpoint', 'gone.pth')
    for words, message in ((['--jobs', '0'], '--jobs 0: expected at least 1'),
                           (['--list', 'slurm', '--gpus', '0'], '--gpus 0: expected at least 1')):
        with pytest.raises(SystemExit, match=message):
            run(*words)
    # mmengine has no empty default values.
    fine_tuning.write_text(fine_tuning.read_text().replace('ROOT:data/demo', 'ROOT:'))
    with pytest.raises(SystemExit, match='KeyError: .*NCLR_DEMO_ROOT'):
        run()
    for wrong in (['--jobs', 'x'], ['--list', 'pbs'], ['--gpus', 'x']):
        with pytest.raises(SystemExit):
            main(['a.py', '--out', 'x', *wrong])


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
