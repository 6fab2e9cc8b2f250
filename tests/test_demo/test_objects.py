"""Road users have plausible sizes and stand on the ground."""
import numpy as np
import pytest

from nclr_plugin.demo import objects
from nclr_plugin.demo.primitives import Label

SIZES = {  # least and greatest length, width, height in metres
    Label.CAR: ((3.5, 1.5, 1.2), (5.6, 2.2, 2.2)),
    Label.TRUCK: ((5.8, 2.0, 2.6), (10, 2.7, 3.8)),
    Label.BUS: ((9, 2.3, 2.8), (12.5, 2.9, 3.2)),
    Label.PERSON: ((0.2, 0.35, 1.4), (1.0, 0.7, 2.1)),
    Label.BICYCLIST: ((1.4, 0.4, 1.4), (2.1, 0.8, 2.4)),
    Label.BICYCLE: ((1.4, 0.3, 0.8), (2.0, 0.7, 1.2)),
}


@pytest.mark.parametrize('label', sorted(objects.BUILDERS))
def test_road_users(label):
    for seed in range(20):
        parts = objects.BUILDERS[label](np.random.default_rng(seed))
        assert {part.material.semantic for part in parts} == {label}
        box = objects.bounding_box(parts)
        low, high = SIZES[label]
        assert (box.size >= low).all() and (box.size <= high).all(), box.size
        assert abs(box.center[2] - box.size[2] / 2) < 0.12
        assert abs(box.center[1]) < 0.1


def test_random_numbers_decide():
    first, again, other = (objects.car(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first[0].half == again[0].half and first[0].material == again[0].material
    assert first[0].half != other[0].half
