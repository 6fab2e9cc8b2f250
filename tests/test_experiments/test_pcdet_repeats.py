"""Repeats of a training in OpenPCDet; a script that logs APs stands in for the host."""
import json

import pytest

from nclr_plugin.experiments import pcdet_repeats

HOST = '''
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
def host(tmp_path, monkeypatch):
    """Folder of the stand-in; ``fails`` in it names the repeat that breaks down."""
    (tmp_path / 'stand_in.py').write_text(HOST)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(pcdet_repeats, 'MODULE', 'stand_in')
    return tmp_path


def calls(host):
    return (host / 'calls.txt').read_text().splitlines()


def words(host, *more):
    return ['--out', str(host / 'out'), '--extra_tag', 'nclr', '--cfg_file', 'second.yaml',
            *more, '--set', 'A.B', '1']


def test_three_independent_runs_and_the_best(host, load_tool, capsys):
    load_tool('pcdet_repeats').main(words(host))
    assert calls(host) == [f'--extra_tag nclr_{number} --cfg_file second.yaml --set A.B 1'
                           for number in (1, 2, 3)]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split('|')[1].strip() for line in lines[2:]] == [
        'repeat 1', 'repeat 2', 'repeat 3', 'best']
    assert lines[-1].split('|')[11].strip() == '20.00'
    assert '10.00 +- 8.16 (3)' in lines[-1]


def test_what_is_done_is_not_done_again_and_what_broke_down_is(host, load_tool, capsys):
    (host / 'fails').write_text('_2')
    with pytest.raises(SystemExit) as error:
        load_tool('pcdet_repeats').main(words(host))
    assert 'repeat_2.log' in error.value.code and 'CUDA error' in error.value.code
    (host / 'fails').unlink()
    load_tool('pcdet_repeats').main(words(host))
    tags = [call.split()[1] for call in calls(host)]
    assert tags == ['nclr_1', 'nclr_2', 'nclr_2', 'nclr_3']
    load_tool('pcdet_repeats').main(words(host))
    assert len(calls(host)) == 4
    record = json.loads((host / 'out' / 'repeat_1.json').read_text())
    assert record['average'] == 0. and len(record['precisions']) == 9


def test_results_of_other_flags_are_not_taken_for_these(host, load_tool):
    load_tool('pcdet_repeats').main(words(host, '--repeats', '1'))
    with pytest.raises(SystemExit) as error:
        load_tool('pcdet_repeats').main(
            words(host, '--repeats', '1', '--pretrained_model', 'other.pth'))
    assert 'other.pth' in error.value.code and '--out' in error.value.code


def test_equal_repeats_are_refused(host, load_tool):
    with pytest.raises(SystemExit):
        load_tool('pcdet_repeats').main(words(host, '--fix_random_seed'))
    assert not (host / 'calls.txt').exists()
