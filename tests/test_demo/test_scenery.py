"""Buildings, trees and street furniture: size, place and label."""
import numpy as np
import pytest

from nclr_plugin.demo import objects, scenery
from nclr_plugin.demo.primitives import Label

LEAF = (0.2, 0.5, 0.1)
BUILDERS = {  # labels, greatest height and reach, metres
    'tree': (lambda rng: scenery.tree(rng, LEAF), {Label.TRUNK, Label.VEGETATION}, 10.5, 6),
    'bush': (lambda rng: scenery.bush(rng, LEAF), {Label.VEGETATION}, 2, 2.5),
    'lamp': (scenery.lamp, {Label.POLE}, 8.1, 2),
    'traffic_sign': (scenery.traffic_sign, {Label.POLE, Label.TRAFFIC_SIGN}, 3.7, 0.5),
    'traffic_light': (scenery.traffic_light, {Label.POLE, Label.OTHER_OBJECT}, 3.4, 0.5),
    'furniture': (scenery.furniture, {Label.POLE, Label.OTHER_OBJECT, Label.OTHER_STRUCTURE},
                  3.3, 2.4),
}


def test_building_fills_its_lot():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        parts = scenery.building(rng, 12.0, 9.0, 3, (0.8, 0.7, 0.6), (0.5, 0.2, 0.1))
        box = objects.bounding_box(parts)
        assert 12.0 <= box.size[0] < 13.0
        assert -2.0 < box.center[1] - box.size[1] / 2 <= 0.0
        assert 8.0 < box.size[2] < 22.0
        assert {part.material.semantic for part in parts} == {Label.BUILDING}


@pytest.mark.parametrize('name', sorted(BUILDERS))
def test_scenery_stands_on_the_ground_within_its_size(name):
    build, known, height, reach = BUILDERS[name]
    found = set()
    for seed in range(40):
        parts = build(np.random.default_rng(seed))
        found |= {part.material.semantic for part in parts}
        box = objects.bounding_box(parts)
        bottom = box.center[2] - box.size[2] / 2
        assert -1.0 < bottom < 0.05 and bottom + box.size[2] < height
        assert (np.abs(box.center[:2]) + box.size[:2] / 2 < reach).all(), box
    assert found == known


def test_random_numbers_decide():
    first, again, other = (scenery.tree(np.random.default_rng(seed), LEAF) for seed in (1, 1, 2))
    assert first[0].half == again[0].half and first[0].half != other[0].half
