"""Mean shift against scikit-learn's, on random and on real points."""
import time

import numpy as np
import pytest

from nclr_plugin.models.segmentors.mean_shift import mean_shift

sklearn_cluster = pytest.importorskip('sklearn.cluster')
adjusted_rand_score = pytest.importorskip('sklearn.metrics').adjusted_rand_score
BANDWIDTH = 1.2
THINGS = (10, 11, 13, 15, 16, 18, 20, 30, 31, 32, 252, 253, 254, 255, 256, 257, 258, 259)


def reference(points, **options):
    return sklearn_cluster.MeanShift(bandwidth=BANDWIDTH, **options).fit_predict(points)


@pytest.fixture(scope='module')
def real(shared_data):
    """Foreground points (N, 3) of the labelled scan, and the middle of each one's object."""
    folder = shared_data / 'semantickitti_scan' / 'sequences' / '92'
    scan = np.fromfile(next((folder / 'velodyne').iterdir()), np.float32).reshape(-1, 4)
    label = np.fromfile(next((folder / 'labels').iterdir()), np.uint32)
    thing = np.isin(label & 0xFFFF, THINGS)
    points, label = scan[thing, :3].astype(np.float64), label[thing]
    centres = np.empty_like(points)
    for one in np.unique(label):
        of_object = points[label == one]
        centres[label == one] = (of_object.min(axis=0) + of_object.max(axis=0)) / 2
    return points, centres


@pytest.mark.parametrize('number, spread', [(1, 1.), (2, 30.), (60, 3.), (400, 8.), (1000, 20.)])
def test_equals_scikit_learn_on_random_points(number, spread):
    points = np.random.default_rng(number).normal(0, spread, (number, 3))
    points[:, 2] /= 10
    ours = mean_shift(points, BANDWIDTH)
    assert adjusted_rand_score(reference(points, bin_seeding=True), ours) == 1
    np.testing.assert_array_equal(np.unique(ours), np.arange(ours.max() + 1))


@pytest.mark.parametrize('way', [0., 0.5, 0.9])
def test_equals_scikit_learn_on_a_real_scan(real, way):
    """As scanned, and moved some of the way to the centres, with noise, as a network does."""
    points, centres = real
    noise = np.random.default_rng(0).normal(0, 0.15 * way, points.shape)
    points = points + way * (centres - points) + noise
    assert adjusted_rand_score(reference(points, bin_seeding=True),
                               mean_shift(points, BANDWIDTH)) == 1


def test_seeds_in_cells_are_as_good_as_a_seed_at_every_point(real):
    points, centres = real
    points = (points + 0.5 * (centres - points))[::25]
    assert adjusted_rand_score(reference(points), mean_shift(points, BANDWIDTH)) >= 0.99


def test_as_many_points_as_a_scan_has_in_time(real):
    points, centres = real
    rng = np.random.default_rng(1)
    chosen = rng.integers(0, len(points), 30_000)
    points = points[chosen] + 0.3 * rng.random((30_000, 1)) * (centres - points)[chosen]
    start = time.process_time()
    mean_shift(points, BANDWIDTH)
    assert time.process_time() - start < 2


def test_known_modes():
    blobs = np.repeat([[0., 0, 0], [5, 0, 0], [5, 5, 0]], [20, 50, 5], axis=0)
    points = blobs + np.random.default_rng(0).normal(0, 0.1, blobs.shape)
    np.testing.assert_array_equal(mean_shift(points, 1.), np.repeat([1, 0, 2], [20, 50, 5]))


def test_far_apart_and_all_at_one_place():
    np.testing.assert_array_equal(mean_shift(np.full((5000, 3), 7.), 1.), np.zeros(5000))
    assert len(np.unique(mean_shift(np.arange(30.).reshape(10, 3) * 1e3, 1.))) == 10
    assert len(mean_shift(np.zeros((0, 3)), 1.)) == 0


def test_chunks_do_not_matter(real, monkeypatch):
    points = real[0][:2000]
    expected = mean_shift(points, BANDWIDTH)
    monkeypatch.setattr('nclr_plugin.models.segmentors.mean_shift.CHUNK', 50)
    np.testing.assert_array_equal(mean_shift(points, BANDWIDTH), expected)


@pytest.mark.parametrize('points, bandwidth, message', [
    ([[0., 0, np.nan]], 1., 'NaN'), ([[0., 0, 0]], 0., 'bandwidth'),
    ([[0., 0, 0], [1e9, 1e9, 1e9]], 1e-3, 'thousands of metres')])
def test_bad_input(points, bandwidth, message):
    with pytest.raises(ValueError, match=message):
        mean_shift(np.array(points), bandwidth)
