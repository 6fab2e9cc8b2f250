"""The table of backbones, on two of them and a small scan."""
import argparse

import numpy as np
import pytest

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from benchmarks import backbones  # noqa: E402
from nclr_plugin.errors import BrokenFrameError  # noqa: E402

BASELINE, SPVCNN = "mmdet3d's MinkUNet-18", 'SPVCNN'


def parse(*argv):
    parser = argparse.ArgumentParser()
    backbones.add_arguments(parser)
    return parser.parse_args([*map(str, argv), '--device', 'cpu'])


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform((-9, -9, -2, 0), (9, 9, 2, 1), (600, 4)).astype(np.float32)
    points.tofile(tmp_path / 'scan.bin')
    return tmp_path / 'scan.bin'


def test_a_row_for_each_network_with_mmdet3ds_as_the_measure(scan, monkeypatch):
    monkeypatch.setattr(backbones, 'ENTRIES',
                        {name: backbones.ENTRIES[name] for name in (BASELINE, SPVCNN)})
    rows = backbones.run_backbones(parse(scan, '--voxel-size', 0.2, '--repeats', 2))
    assert [row['name'] for row in rows] == [BASELINE, SPVCNN]
    for row in rows:
        assert len(row['forward']) == len(row['backward']) == len(row['ratio']) == 2
        assert min(row['forward'] + row['backward']) > 0
        assert row['memory'] > 4 * row['parameters'], 'gradients alone need as much'
        assert row['memory'] < 40 * row['parameters']
    baseline, spvcnn = rows
    assert baseline['ratio'] == [1, 1] and baseline['memory_ratio'] == 1
    assert spvcnn['parameters'] - baseline['parameters'] == sum(
        before * after + 3 * after for before, after in ((32, 256), (256, 128), (128, 96)))
    assert spvcnn['ratio'][0] == pytest.approx(
        (spvcnn['forward'][0] + spvcnn['backward'][0])
        / (baseline['forward'][0] + baseline['backward'][0]))


def test_table():
    row = dict(name='A', parameters=1234567, forward=[3., 1., 2.], backward=[4., 4., 5.],
               time=[7., 5., 7.], ratio=[1.5, 1., 1.25], memory=2.5e8, memory_ratio=1.1)
    header, _, cells = backbones.format_table([row]).splitlines()
    assert [cell.strip() for cell in cells.strip('|').split('|')] == [
        'A', '1.23', '2.000', '4.000', '250', '1.250 (1.000 - 1.500)', '1.100']
    assert 'peak memory, MB' in header


def test_a_scan_with_other_columns_is_named(tmp_path):
    np.zeros(7, np.float32).tofile(tmp_path / 'short.bin')
    args = parse(tmp_path / 'short.bin')
    with pytest.raises(BrokenFrameError, match='short.bin'):
        backbones.prepare([], args)
