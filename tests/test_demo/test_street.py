"""Layout of a scene."""
import numpy as np
import pytest

from nclr_plugin.demo.primitives import Label
from nclr_plugin.demo.scene import Town
from nclr_plugin.demo.street import build_scene


def scenes(heading, count=30):
    town = Town.build(np.random.default_rng(0))
    return [build_scene(town, np.random.default_rng(k), heading) for k in range(count)]


def yaw_of(scene):
    return np.arctan2(scene.ego2world[1, 0], scene.ego2world[0, 0])


def test_road_heading_keeps_to_the_right_lane():
    for scene in scenes('road', 10):
        assert abs(yaw_of(scene)) < np.deg2rad(10)
        assert -scene.road.half < scene.ego2world[1, 3] < 0


def test_free_heading_turns_everywhere():
    made = scenes('free', 40)
    quarters = np.histogram([yaw_of(scene) for scene in made], 4, (-np.pi, np.pi))[0]
    assert (quarters >= 4).all()
    sides = np.sign([scene.ego2world[1, 3] for scene in made])
    assert 8 < (sides > 0).sum() < 32
    assert all(abs(scene.ego2world[1, 3]) < scene.road.half for scene in made)


def test_unknown_heading():
    with pytest.raises(ValueError, match="'north'"):
        scenes('north', 1)


def test_objects_do_not_touch_each_other_or_the_ego_vehicle():
    for scene in scenes('free', 5):
        spots = np.array([thing.center[:2] for thing in scene.objects])
        widths = np.array([thing.size[:2].min() for thing in scene.objects])
        apart = np.linalg.norm(spots[:, None] - spots, axis=2) + 1e6 * np.eye(len(spots))
        assert (apart > 0.45 * (widths[:, None] + widths)).all()
        assert (np.linalg.norm(spots - scene.ego2world[:2, 3], axis=1) > 4.0).all()


def test_boxes_hold_all_parts_of_their_object():
    for scene in scenes('road', 3):
        for thing in scene.objects:
            rows = scene.primitives.instance == thing.instance
            corners = scene.primitives.corners[rows].reshape(-1, 3) - thing.center
            cos, sin = np.cos(thing.yaw), np.sin(thing.yaw)
            own = corners @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
            np.testing.assert_allclose(own.max(0), thing.size / 2, atol=1e-6)
            np.testing.assert_allclose(own.min(0), -thing.size / 2, atol=1e-6)


def test_scenes_are_rich():
    for scene in scenes('road', 5):
        found = set(scene.primitives.semantic)
        assert {
            Label.ROAD, Label.SIDEWALK, Label.BUILDING, Label.VEGETATION, Label.POLE,
            Label.CAR, Label.PERSON, Label.TERRAIN
        } <= found
        assert len(scene.objects) > 20
        assert any(thing.moving for thing in scene.objects)
