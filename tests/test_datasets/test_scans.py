"""Rows that are no measurement, columns and intensities, by any way a scan is read."""
import numpy as np
import pytest

from nclr_plugin.errors import ScanColumnsError, ScanError
from nclr_plugin.datasets.scans import (check_columns, drop_invalid_rows, fits_intensity_scale,
                                        guess_intensity_scale, intensity_level, scale_intensity)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.uniform([2, -20, -2, 0], [40, 20, 3, 1], (3000, 4)).astype(np.float32)


def mixed(points, rows, seed=0):
    """The points in their order with other rows among them, after the first point."""
    places = np.sort(np.random.default_rng(seed).integers(1, len(points) + 1, len(rows)))
    return np.insert(points, places, rows, axis=0).astype(np.float32)


COVER = np.random.default_rng(1).uniform(-0.17, 0.17, (900, 4))


@pytest.mark.parametrize('rows, counted', [
    (np.zeros((2455, 4)), '2455 at the origin (0, 0, 0)'),  # 45% of the result
    (np.full((1615, 4), np.nan), '1615 with NaN or infinity'),  # 35%
    (np.tile([np.nan, np.nan, np.nan, 0], (7, 1)), '7 with NaN or infinity'),
    (np.tile([5, np.inf, 1, 0.5], (7, 1)), '7 with NaN or infinity'),
    (np.tile([5, 1, -np.inf, 0.5], (7, 1)), '7 with NaN or infinity'),
    (np.tile([5, 1, 1, np.nan], (7, 1)), '7 with NaN or infinity as their intensity'),
    (COVER, '900 nearer to the sensor than 0.3 m'),
    (np.tile([-0., 0, -0., 0.4], (7, 1)), '7 at the origin (0, 0, 0)'),
], ids=['zero', 'nan', 'nan and 0', 'inf', '-inf', 'intensity', 'cover', 'negative zero'])
def test_the_scan_without_them_is_left(points, rows, counted):
    found, dropped = drop_invalid_rows(mixed(points, rows))
    np.testing.assert_array_equal(found, points)
    assert dropped.count == len(rows) and dropped.total == len(points) + len(rows)
    assert str(dropped) == (f'{len(rows)} of {len(points) + len(rows)} rows are no measurement: '
                            f'{counted}')


def test_repeated_points_are_counted_once(points):
    rng = np.random.default_rng(2)
    twice = np.concatenate([points, points[rng.integers(0, 3000, 1500)]])
    twice[3000:, 3] = 0.5  # other intensities, as of a second return
    found, dropped = drop_invalid_rows(twice)
    np.testing.assert_array_equal(found, points)
    assert dropped.repeated == 1500
    shuffled = rng.permutation(twice)
    found, _ = drop_invalid_rows(shuffled)
    _, first = np.unique(shuffled[:, :3], axis=0, return_index=True)
    np.testing.assert_array_equal(found, shuffled[np.sort(first)])
    # Points that agree in two coordinates, or nearly, are others.
    near = np.repeat(points, 2, axis=0)
    near[1::2, 2] = np.nextafter(near[1::2, 2], np.float32(9))
    assert len(drop_invalid_rows(near)[0]) == 6000


def test_a_clean_scan_is_untouched(points, shared_data):
    assert drop_invalid_rows(points)[0] is points
    kitti = np.fromfile(next((shared_data / 'kitti_object/training/velodyne').glob('*.bin')),
                        np.float32).reshape(-1, 4)
    assert drop_invalid_rows(kitti)[0] is kitti


@pytest.mark.parametrize('rows, reason', [
    (np.zeros((90, 4)), '90 of 110 rows are no measurement: 90 at the origin'),
    (np.full((90, 4), np.nan), '90 with NaN or infinity'),
    (np.tile([9, 1, 1, 0.3], (90, 1)), '89 that repeat an earlier one'),
    (np.tile([9, 1, 1, np.inf], (90, 1)), '90 with NaN or infinity as their intensity'),
])
def test_too_few_left_is_refused_with_the_reason(points, rows, reason):
    with pytest.raises(ScanError, match='a: expected at least 30 points, found 2') as error:
        drop_invalid_rows(mixed(points[:20], rows), 'a')
    assert reason in str(error.value) and 'kilometres' not in str(error.value)


def test_ring_numbers_are_no_coordinates(points):
    check_columns(points)
    points[:, 2] = np.arange(3000) % 32
    with pytest.raises(ScanColumnsError, match='metres as z, found whole numbers from 0 to 31'):
        check_columns(points)
    points[:, 2] = 0  # a planar scanner
    check_columns(points)
    points[:, 0] = np.arange(3000) // 24  # columns of an organised cloud
    with pytest.raises(ScanColumnsError, match='metres as x'):
        check_columns(points)


def test_coordinates_are_no_intensities(points):
    points[:5, 3] = -1e-3  # noise of a correction by range
    check_columns(points)
    points[:, 3] = points[:, 1]
    with pytest.raises(ScanColumnsError, match=r'-(20|19.99) ... (20|19.99), which look like '
                       'coordinates.*lidar.dim in rig.yaml, --lidar-dim'):
        check_columns(points)
    check_columns(points[:, :3])


@pytest.mark.parametrize('largest', [1, 255, 65535])
def test_what_intensities_look_like(points, largest):
    intensity = points[:, 3] * largest
    scale = guess_intensity_scale([intensity_level(intensity)])
    assert scale == pytest.approx(1 / largest)
    raw = points.copy()
    raw[:, 3] = intensity
    np.testing.assert_allclose(scale_intensity(raw, scale), points, atol=1e-6)
    np.testing.assert_array_equal(raw[:, 3], intensity)  # untouched
    # A few bright points, and 256 steps divided by 255, say nothing.
    intensity[:10] = 1.0039 * largest
    intensity[10:13] = 250 * largest
    assert guess_intensity_scale([intensity_level(intensity)]) == pytest.approx(1 / largest)
    raw[:, 3] = intensity
    assert scale_intensity(raw, scale)[:13, 3].tolist() == 13 * [1.]
    np.testing.assert_allclose(scale_intensity(raw, scale)[13:], points[13:], atol=1e-6)


def test_a_constant_of_eight_bits():
    assert guess_intensity_scale([intensity_level(np.full(99, 128.))]) == 1 / 255
    assert guess_intensity_scale([0.]) == 1
    assert guess_intensity_scale([1e6]) is None
    assert guess_intensity_scale([0.2, 90., 100., 7000., 120.]) == 1 / 255  # most of the scans


@pytest.mark.parametrize('level, scale, fits', [
    (0.6, 1, True), (100, 1, False), (100, 1 / 255, True), (0.6, 1 / 255, False),
    (0, 1 / 255, True), (3000, 1 / 65535, True), (100, 1 / 65535, False), (3000, 1 / 255, False),
    (90, 0.01, True),
])
def test_whether_a_scale_fits(level, scale, fits):
    assert fits_intensity_scale(level, scale) is fits


def test_a_wrong_scale_is_refused(points):
    points[:, 3] *= 255
    with pytest.raises(ScanColumnsError, match='a: .*intensity_scale of 1 turns into 0..1, found '
                       r'99% of them up to 252.*--intensity-scale.*; 0.003921569 would fit'):
        scale_intensity(points, 1., 'a')
