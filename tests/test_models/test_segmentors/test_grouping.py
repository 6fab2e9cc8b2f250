"""From centres to instances and their classes; mean shift against scikit-learn's."""
import time

import numpy as np
import pytest

from nclr_plugin.models.segmentors.grouping import group_instances, mean_shift

sklearn_cluster = pytest.importorskip('sklearn.cluster')
adjusted_rand_score = pytest.importorskip('sklearn.metrics').adjusted_rand_score
BANDWIDTH = 1.2
CAR, PERSON, ROAD = 0, 1, 8
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
    monkeypatch.setattr('nclr_plugin.models.segmentors.grouping.CHUNK', 50)
    np.testing.assert_array_equal(mean_shift(points, BANDWIDTH), expected)


@pytest.mark.parametrize('points, bandwidth, message', [
    ([[0., 0, np.nan]], 1., 'NaN'), ([[0., 0, 0]], 0., 'bandwidth'),
    ([[0., 0, 0], [1e9, 1e9, 1e9]], 1e-3, 'thousands of metres')])
def test_bad_input(points, bandwidth, message):
    with pytest.raises(ValueError, match=message):
        mean_shift(np.array(points), bandwidth)


def scene(*objects):
    """Centres and classes of objects, each (x, {class: number of points})."""
    centres, semantic = [], []
    for x, classes in objects:
        for index, number in classes.items():
            centres += [[x, 0., 0.]] * number
            semantic += [index] * number
    return np.array(centres), np.array(semantic)


def test_majority_decides_the_class_of_a_cluster():
    centres, semantic = scene((0, {CAR: 60, PERSON: 40}), (10, {CAR: 20, PERSON: 50}))
    classes, instance = group_instances(centres, semantic, [CAR, PERSON])
    np.testing.assert_array_equal(classes, np.repeat([CAR, PERSON], [100, 70]))
    np.testing.assert_array_equal(instance, np.repeat([1, 2], [100, 70]))


def test_clusters_below_the_minimum_are_no_instances():
    centres, semantic = scene((0, {CAR: 49}), (10, {CAR: 50}), (20, {CAR: 51}))
    classes, instance = group_instances(centres, semantic, [CAR])
    np.testing.assert_array_equal(instance, np.repeat([0, 2, 1], [49, 50, 51]))
    np.testing.assert_array_equal(classes, CAR)
    _, instance = group_instances(centres, semantic, [CAR], min_points=1)
    assert set(instance) == {1, 2, 3}


def test_bandwidth_is_honoured():
    centres, semantic = scene((0, {CAR: 60}), (2., {CAR: 60}))
    assert group_instances(centres, semantic, [CAR], bandwidth=1.2)[1].max() == 2
    assert group_instances(centres, semantic, [CAR], bandwidth=2.5)[1].max() == 1


def test_stuff_stays_out_of_clusters():
    centres, semantic = scene((0, {CAR: 60, ROAD: 500}))
    classes, instance = group_instances(centres, semantic, [CAR, PERSON])
    np.testing.assert_array_equal(classes, semantic)
    np.testing.assert_array_equal(instance, semantic == CAR)


def test_without_things_and_without_points():
    centres, semantic = scene((0, {ROAD: 10}))
    classes, instance = group_instances(centres, semantic, [CAR])
    assert (classes == ROAD).all() and (instance == 0).all()
    classes, instance = group_instances(np.zeros((0, 3)), np.zeros(0, int), [CAR])
    assert len(classes) == len(instance) == 0


def test_input_is_not_changed():
    centres, semantic = scene((0, {CAR: 60, PERSON: 40}))
    before = semantic.copy()
    group_instances(centres, semantic, [CAR, PERSON])
    np.testing.assert_array_equal(semantic, before)
