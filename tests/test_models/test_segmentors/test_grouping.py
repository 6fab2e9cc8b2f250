"""From centres to instances and their classes."""
import numpy as np

from nclr_plugin.models.segmentors import group_instances

CAR, PERSON, ROAD = 0, 1, 8


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
