"""The benchmarks that need data, as processes, on a small world."""
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ['train_dataloader.dataset.reader.sequences=[00]', 'model.pose_head.iterations=100']


def run(name, *argv, **variables):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', **variables}
    result = subprocess.run([sys.executable, str(ROOT / 'tools' / f'{name}.py'), *map(str, argv)],
                            cwd=str(ROOT), env=environment, capture_output=True, text=True,
                            timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    if importlib.util.find_spec('mmdet3d') is None:
        pytest.skip('the models run on mmdet3d, which is not installed')
    root = tmp_path_factory.mktemp('world') / 'demo'
    run('create_demo_data', root, '--scenes', 2, '--val-scenes', 0, '--towns', 1, '--beams', 32,
        '--azimuths', 512, '--image-size', 208, 64)
    return str(root)


def table(text):
    """Rows of the Markdown table at the end of the output, as lists of cells."""
    lines = [line for line in text.splitlines() if line.startswith('|')]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert set(''.join(rows.pop(1))) == {'-'}
    assert len({len(line) for line in lines}) == 1, 'columns are padded'
    return rows


def test_step(world):
    rows = table(run('benchmark', 'step', '--config', 'configs/nclr/pretrain_demo.py', '--rounds',
                     2, '--batch-size', 2, '--device', 'cpu', '--cfg-options', *OPTIONS,
                     NCLR_DEMO_ROOT=world))
    names, values = zip(*rows)
    assert [name.split()[0] for name in names] == ['forward', 'point', 'image', 'NCLR', 'ratio']
    assert '2 x (96, 320)' in names[2]
    assert min(map(float, values[1:4])) > 0
    median, lowest, highest = map(float, re.findall(r'[\d.]+', values[4]))
    assert 0 < lowest <= median <= highest


@pytest.mark.parametrize('workers', [0, 1])
def test_data(world, workers):
    header, row = table(run('benchmark', 'data', '--config', 'configs/nclr/pretrain_demo.py',
                            '--rounds', 2, '--workers', workers, '--device', 'cpu',
                            '--cfg-options', *OPTIONS, NCLR_DEMO_ROOT=world))
    figures = dict(zip(header, row))
    assert figures['workers'] == str(workers)
    assert float(figures['step, s']) > 0
    assert float(figures['one sample, one process, ms']) > 0
    assert 0 <= float(figures['share of time waiting'].rstrip('%')) <= 100
    if workers == 0:
        assert float(figures['wait for a batch, s']) > 0
