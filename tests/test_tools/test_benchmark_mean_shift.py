"""The table of mean shift, on a small scan."""
import argparse

import numpy as np
import pytest

pytest.importorskip('sklearn')
pytest.importorskip('scipy')
from benchmarks import mean_shift  # noqa: E402
from nclr_plugin.errors import DataLayoutError  # noqa: E402


@pytest.fixture
def arguments(tmp_path):
    """Options of two cars 10 m apart, a tree, and a road."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.2, (400, 4)).astype(np.float32)
    points[:200, 0] += np.repeat([0, 10], 100)
    points[200:, 1] += np.repeat([20, 30], 100)
    points.tofile(tmp_path / 'scan.bin')
    labels = np.repeat(np.array([10 + (1 << 16), 10 + (2 << 16), 70, 40], np.uint32), 100)
    labels.tofile(tmp_path / 'scan.label')
    parser = argparse.ArgumentParser()
    mean_shift.add_arguments(parser)
    return parser.parse_args([str(tmp_path / 'scan.bin'), str(tmp_path / 'scan.label'),
                              '--repeats', '2'])


def test_each_set_is_clustered_by_both(arguments):
    rows = mean_shift.run_mean_shift(arguments)
    assert [row['number'] for row in rows] == [200, 200, 300, 400]
    assert [row['clusters'] for row in rows] == [2, 2, 3, 4]
    for row in rows:
        assert row['rand_index'] == 1
        assert row['ratio'] == [b / a for a, b in zip(row['ours'], row['theirs'])]
        assert len(row['ours']) == 2 and min(row['ours'] + row['theirs']) > 0


def test_moved_points_are_near_the_middle_of_their_car(arguments):
    sets = list(mean_shift.point_sets(arguments.scan, arguments.label).values())
    as_scanned, moved = sets[:2]
    middle = (as_scanned[:100].min(axis=0) + as_scanned[:100].max(axis=0)) / 2
    expected = np.linalg.norm(0.2 * (as_scanned[:100] - middle) - (moved[:100] - middle), axis=1)
    assert 0.1 < expected.mean() / 0.15 < 2  # the noise is left
    assert np.abs(moved[100:].mean(axis=0) - as_scanned[100:].mean(axis=0)).max() < 0.3


def test_table():
    header, _, cells = mean_shift.format_table([dict(
        name='of things', number=17098, ours=[1., 3., 2.], theirs=[8., 6., 8.], clusters=9,
        ratio=[8., 2., 4.], rand_index=1.)]).splitlines()
    assert [cell.strip() for cell in cells.strip('|').split('|')] == [
        '17,098 of things', '9', '8.00', '2.00', '4.0 (2.0 - 8.0)', '1.00000']
    assert 'adjusted Rand index' in header


def test_labels_that_are_too_few(arguments):
    arguments.label.write_bytes(arguments.label.read_bytes()[:-8])
    with pytest.raises(DataLayoutError, match='expected 400 labels.*found 398'):
        mean_shift.run_mean_shift(arguments)
