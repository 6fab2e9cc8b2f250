"""The style of a town, and which road users move."""
import numpy as np
import pytest

from nclr_plugin.demo.primitives import Label
from nclr_plugin.demo.scene import Object, Town


def test_a_town_depends_on_its_seed_alone():
    first, again, other = (Town.build(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first.wall_hues == again.wall_hues).all() and first.sun == again.sun
    assert (first.wall_hues != other.wall_hues).any() and first.sun != other.sun


def test_towns_are_plausible():
    for seed in range(50):
        town = Town.build(np.random.default_rng(seed))
        assert town.lots.shape == (5, ) and town.lots.sum() == pytest.approx(1)
        assert 3 <= town.lane <= 3.7 and 0 < town.parked < 1
        assert np.deg2rad(25) <= town.sun <= np.deg2rad(60)


@pytest.mark.parametrize('velocity, moving', [((0, 0), False), ((0, -0.1), True)])
def test_a_road_user_with_a_velocity_moves(velocity, moving):
    car = Object(1, Label.CAR, np.zeros(3), np.ones(3), 0., np.array(velocity))
    assert car.moving is moving
