"""The benchmarks that need data, on a small world."""
import importlib.util
import re
import runpy
import sys
from pathlib import Path

import pytest

from nclr_plugin.demo import DemoOptions, generate

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'nclr' / 'nclr_minkunet_demo.py'
OPTIONS = ['train_dataloader.dataset.reader.sequences=[00]', 'model.pose_head.max_iterations=100']


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('the models run on mmdet3d, which is not installed')
    root = tmp_path_factory.mktemp('world') / 'demo'
    generate(str(root), 'semantickitti', DemoOptions(
        scenes=2, val_scenes=0, towns=1, beams=32, azimuths=512, image_size=(208, 64)))
    return str(root)


@pytest.fixture
def run(monkeypatch, capsys):
    """Function: script, arguments, variables -> output; in this process, which has mmdet3d."""

    def call(name, *argv, **variables):
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        script = str(ROOT / 'tools' / f'{name}.py')
        monkeypatch.setattr(sys, 'path', sys.path.copy())
        monkeypatch.setattr(sys, 'argv', [script, *map(str, argv)])
        runpy.run_path(script, run_name='__main__')
        return capsys.readouterr().out

    return call


def table(text):
    """Rows of the Markdown table at the end of the output, as lists of cells."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert set(''.join(rows.pop(1))) == {'-'}
    assert len({len(line) for line in lines}) == 1, 'columns are padded'
    return rows


def test_step(world, run):
    rows = table(run('benchmark', 'step', '--config', CONFIG, '--rounds', 2, '--batch-size', 2,
                     '--device', 'cpu', '--cfg-options', *OPTIONS, NCLR_DEMO_ROOT=world))
    names, values = zip(*rows)
    assert [name.split()[0] for name in names] == ['forward', 'point', 'image', 'NCLR', 'ratio']
    assert '2 x (96, 320)' in names[2]
    assert min(map(float, values[1:4])) > 0
    median, lowest, highest = map(float, re.findall(r'[\d.]+', values[4]))
    assert 0 < lowest <= median <= highest


def test_data(world, run):
    header, *rows = table(run(
        'benchmark', 'data', '--config', CONFIG, '--rounds', 2, '--workers', 0, 1, '--device',
        'cpu', '--cfg-options', *OPTIONS, NCLR_DEMO_ROOT=world))
    for workers, row in zip('01', rows):
        figures = dict(zip(header, row))
        assert figures['workers'] == workers
        assert float(figures['step, s']) > 0
        assert float(figures['one sample, processor time, ms']) > 0
        assert 0 <= float(figures['share of time waiting'].rstrip('%')) <= 100
    assert len(rows) == 2 and float(rows[0][3]) > 0, 'without workers, a step waits'


def test_data_beside_a_step_of_a_given_time(world, run):
    header, row = table(run(
        'benchmark', 'data', '--config', CONFIG, '--rounds', 2, '--workers', 0, '--step-time', 0.5,
        '--cfg-options', *OPTIONS, NCLR_DEMO_ROOT=world))
    assert 0.5 <= float(dict(zip(header, row))['step, s']) < 1


def test_syncs(world, run):
    header, *rows = table(run('benchmark', 'syncs', CONFIG, '--batch-size', 2, '--cfg-options',
                              *OPTIONS, NCLR_DEMO_ROOT=world))
    assert header == ['place', 'line', 'what', 'times']
    *places, total = rows
    assert total[0] == 'sum' and int(total[3]) == sum(int(row[3]) for row in places)
    assert any(row[0].startswith('nclr_plugin/models/layers/voxelization.py:') for row in places)
    assert int(total[3]) <= 25, places


def test_an_unknown_sequence_ends_in_one_sentence(world, run):
    with pytest.raises(SystemExit, match="sequence '77' is unknown.*found"):
        run('benchmark', 'step', '--config', CONFIG, '--cfg-options',
            'train_dataloader.dataset.reader.sequences=[77]', NCLR_DEMO_ROOT=world)
