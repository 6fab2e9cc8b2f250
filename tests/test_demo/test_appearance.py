"""Materials."""
import numpy as np

from nclr_plugin.demo.appearance import appearance
from nclr_plugin.demo.primitives import Label
from nclr_plugin.demo.scene import Town
from nclr_plugin.demo.street import build_scene


def ground(scene, points):
    """Appearance of the carriageway at points (N, 2)."""
    index = np.flatnonzero(scene.primitives.semantic == Label.ROAD)[0]
    world = np.column_stack([points, np.zeros(len(points))])
    return appearance(scene, scene.primitives.surface(np.full(len(points), index), world))


def make_scene(seed=0):
    return build_scene(Town.build(np.random.default_rng(0)), np.random.default_rng(seed), 'road')


def test_lane_paint_is_bright_labelled_and_seen_by_the_laser():
    scene = make_scene()
    rng = np.random.default_rng(0)
    points = rng.uniform([-60, -scene.road.half], [60, scene.road.half], (40000, 2))
    look = ground(scene, points)
    paint = look.semantic == Label.LANE_MARKING
    assert 0.01 < paint.mean() < 0.3
    assert (look.semantic[~paint] == Label.ROAD).all()
    assert look.albedo[paint].mean() > 2 * look.albedo[~paint].mean()
    assert look.infrared[paint].mean() > 2 * look.infrared[~paint].mean()


def test_laser_sees_the_texture_that_the_camera_sees():
    scene = make_scene(1)
    rng = np.random.default_rng(0)
    look = ground(scene, rng.uniform(-5, 5, (5000, 2)))
    asphalt = look.semantic == Label.ROAD
    correlation = np.corrcoef(look.albedo[asphalt].mean(1), look.infrared[asphalt])[0, 1]
    assert correlation > 0.95


def test_everything_is_finite_and_not_negative():
    scene = make_scene(2)
    world = scene.primitives
    points = world.corners.mean(1)
    points[:, 2] = world.corners[..., 2].max(1)
    look = appearance(scene, world.surface(np.arange(len(world)), points))
    for values in (look.albedo, look.infrared, look.gloss):
        assert np.isfinite(values).all() and (values >= 0).all()
    assert look.albedo.max() < 1.5
