"""Table 2 from the text that mmdet3d and OpenPCDet log."""
import json

import pytest

from nclr_plugin.experiments import detection_ap
from nclr_plugin.experiments.detection_ap import average, precision_table, read_precisions

CLASSES = 'Car', 'Pedestrian', 'Cyclist'
# SECOND from scratch, the first row of the paper's Table 2.
SCRATCH = dict(Car=(90.20, 81.50, 78.61), Pedestrian=(53.89, 48.82, 44.56),
               Cyclist=(82.59, 65.72, 62.99))
OVERLAPS = dict(Car=('0.70, 0.70, 0.70', '0.70, 0.50, 0.50'),
                Pedestrian=('0.50, 0.50, 0.50', '0.50, 0.25, 0.25'),
                Cyclist=('0.50, 0.50, 0.50', '0.50, 0.25, 0.25'))


def block(header, lines, kinds, suffix):
    return '\n'.join([f'{header}:', *(
        f'{kind} AP{suffix}:' + ', '.join(f'{value:.4f}' for value in values)
        for kind, values in zip(kinds, lines)), ''])


def log_of(framework, precisions, classes=CLASSES):
    """A printed evaluation, with other figures at 11 points and looser overlaps."""
    text = '2026-01-01 00:00:00,000   INFO  Car_3d/easy_R40: 12.3456\n'
    other = (99., 98., 97.)
    for name in classes:
        for strict, overlap in zip((True, False), OVERLAPS[name]):
            values = precisions[name] if strict else other
            for points, shown in ((11, other), (40, values)):
                if framework == 'openpcdet':
                    header = f'{name} AP{"_R40" if points == 40 else ""}@{overlap}'
                    suffix, kinds = '', ('bbox', 'bev ', '3d  ')
                else:
                    header, suffix = f'{name} AP{points}@{overlap}', str(points)
                    kinds = ('bbox', 'bev ', '3d  ')
                text += block(header, (other, other, shown), kinds, suffix)
                text += f'aos  AP{suffix}:95.00, 94.00, 93.00\n'
    return text


@pytest.fixture(params=['openpcdet', 'mmdet3d'])
def framework(request):
    return request.param


def test_the_nine_and_their_mean_are_those_of_the_paper(tmp_path, framework):
    (tmp_path / 'log.txt').write_text(log_of(framework, SCRATCH))
    found = read_precisions(tmp_path / 'log.txt')
    assert [found[name, level] for name in CLASSES
            for level in ('easy', 'moderate', 'hard')] == [
        value for name in CLASSES for value in SCRATCH[name]]
    assert f'{average(found):.2f}' == '67.65'  # the paper's last column


def test_the_last_evaluation_of_a_log_counts(tmp_path, framework):
    earlier = {name: (1., 2., 3.) for name in CLASSES}
    (tmp_path / 'log.txt').write_text(log_of(framework, earlier) + log_of(framework, SCRATCH))
    assert read_precisions(tmp_path / 'log.txt')['Car', 'hard'] == 78.61


def test_a_class_without_its_3d_figures_does_not_get_those_of_the_next(tmp_path, framework):
    cut = log_of(framework, SCRATCH, ['Car', 'Pedestrian'])
    text = cut + log_of(framework, SCRATCH, ['Cyclist']).replace('3d  ', '3x  ') + log_of(
        framework, SCRATCH, ['Car'])
    (tmp_path / 'log.txt').write_text(text)
    with pytest.raises(ValueError, match=r"found none of \['Cyclist'\]"):
        read_precisions(tmp_path / 'log.txt')


def test_the_best_of_the_repeats_is_the_one_of_largest_mean(tmp_path, load_tool, capsys):
    words = []
    for number, gain in enumerate((0., 3., 1.)):
        log = tmp_path / f'{number}.log'
        log.write_text(log_of('openpcdet', {
            name: tuple(value + gain for value in values) for name, values in SCRATCH.items()}))
        words.append(f'nclr={log}')
    load_tool('detection_table').main([words[0].replace('nclr', 'scratch'), *words])
    header, _, scratch, nclr = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in (header, scratch, nclr)]
    assert cells[0][1:11] == [f'{name} {level}' for name in CLASSES for level in (
        'easy', 'moderate', 'hard')] + ['Avg']
    assert cells[1][10:] == ['67.65', '67.65 +- 0.00 (1)']
    assert cells[2][1] == '93.20' and cells[2][10:] == ['70.65', '68.99 +- 1.25 (3)']


def test_one_run_of_each_method_needs_no_column_of_repeats():
    only = {(name, level): 50. for name in CLASSES for level in ('easy', 'moderate', 'hard')}
    assert 'repeats' not in precision_table(dict(a=[only], b=[only]))


def test_a_log_without_an_evaluation_is_named(tmp_path, load_tool):
    (tmp_path / 'train.log').write_text('loss: 1.0\n')
    with pytest.raises(SystemExit) as error:
        load_tool('detection_table').main([f'nclr={tmp_path / "train.log"}'])
    assert 'train.log' in error.value.code and 'Pedestrian' in error.value.code
    with pytest.raises(SystemExit) as error:
        load_tool('detection_table').main(['nclr=nowhere.log'])
    assert 'nowhere.log' in error.value.code


STAND_IN = '''
import sys
from pathlib import Path
calls = Path(__file__).with_name('calls.txt')
seen = calls.read_text().splitlines() if calls.is_file() else []
calls.write_text('\\n'.join([*seen, ' '.join(sys.argv[1:])]))
fails = Path(__file__).with_name('fails')
if fails.is_file() and sys.argv[2].endswith(fails.read_text()):
    sys.exit('CUDA error')
value = 10. * len(seen)
for name, overlap in (('Car', '0.70'), ('Pedestrian', '0.50'), ('Cyclist', '0.50')):
    print(f'{name} AP_R40@{overlap}, {overlap}, {overlap}:')
    print('bbox AP:1.0, 1.0, 1.0')
    print(f'3d   AP:{value}, {value}, {value}')
'''


@pytest.fixture
def training(tmp_path, monkeypatch):
    """Folder of the stand-in; ``fails`` in it names the repeat that breaks down."""
    (tmp_path / 'stand_in.py').write_text(STAND_IN)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(detection_ap, 'MODULE', 'stand_in')
    return tmp_path


def calls(training):
    return (training / 'calls.txt').read_text().splitlines()


def words(training, *more):
    return ['--out', str(training / 'out'), '--extra_tag', 'nclr', '--cfg_file', 'second.yaml',
            *more, '--set', 'A.B', '1']


def test_three_independent_runs_and_the_best(training, load_tool, capsys):
    load_tool('pcdet_repeats').main(words(training))
    assert calls(training) == [f'--extra_tag nclr_{number} --cfg_file second.yaml --set A.B 1'
                           for number in (1, 2, 3)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('|')[1].strip() for line in lines[2:]] == [
        'repeat 1', 'repeat 2', 'repeat 3', 'best']
    assert lines[-1].split('|')[11].strip() == '20.00'
    assert '10.00 +- 8.16 (3)' in lines[-1]


def test_what_is_done_is_not_done_again_and_what_broke_down_is(training, load_tool, capsys):
    (training / 'fails').write_text('_2')
    with pytest.raises(SystemExit) as error:
        load_tool('pcdet_repeats').main(words(training))
    assert 'repeat_2.log' in error.value.code and 'CUDA error' in error.value.code
    (training / 'fails').unlink()
    load_tool('pcdet_repeats').main(words(training))
    tags = [call.split()[1] for call in calls(training)]
    assert tags == ['nclr_1', 'nclr_2', 'nclr_2', 'nclr_3']
    load_tool('pcdet_repeats').main(words(training))
    assert len(calls(training)) == 4
    record = json.loads((training / 'out' / 'repeat_1.json').read_text())
    assert record['average'] == 0. and len(record['precisions']) == 9


def test_results_of_other_flags_are_not_taken_for_these(training, load_tool):
    load_tool('pcdet_repeats').main(words(training, '--repeats', '1'))
    with pytest.raises(SystemExit) as error:
        load_tool('pcdet_repeats').main(
            words(training, '--repeats', '1', '--pretrained_model', 'other.pth'))
    assert 'other.pth' in error.value.code and '--out' in error.value.code


def test_equal_repeats_are_refused(training, load_tool):
    with pytest.raises(SystemExit):
        load_tool('pcdet_repeats').main(words(training, '--fix_random_seed'))
    assert not (training / 'calls.txt').exists()
