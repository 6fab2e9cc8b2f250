"""Camera and LiDAR see the same world."""
import numpy as np

from nclr_plugin.demo.frame import Split, render_frame
from nclr_plugin.demo.primitives import Label, Material, Part, Primitives, Shape
from nclr_plugin.demo.sensors import ShadowMap
from nclr_plugin.demo.scene import Road, Scene


def compare_depth(frame, lidar2cam):
    """Depth of the LiDAR's points and of the pixels that they fall on."""
    mount = frame.cameras['front']
    points = frame.scan.points[:, :3].astype(np.float64) @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]
    ahead = points[:, 2] > 1.0
    pixels = points @ mount.cam2img.T
    u, v = np.round(pixels[:, :2] / pixels[:, 2:]).T
    seen = ahead & (u >= 0) & (v >= 0) & (u < mount.width) & (v < mount.height)
    depth = frame.photographs['front'].depth[v[seen].astype(int), u[seen].astype(int)]
    return points[seen, 2], depth, seen, (v[seen].astype(int), u[seen].astype(int))


def test_projected_points_have_the_depth_of_their_pixels(frame):
    lidar2cam = frame.cameras['front'].lidar2cam
    scan, pixel, seen, _ = compare_depth(frame, lidar2cam)
    assert len(scan) > 2000
    close = np.abs(scan - pixel) < 0.04 * scan + 0.05
    beyond = pixel > scan * 1.04 + 0.05  # the camera looks through what the LiDAR hit
    assert close.mean() > 0.92
    assert beyond.mean() < 0.03
    turned = lidar2cam.copy()
    angle = np.deg2rad(3)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
                     [-np.sin(angle), 0, np.cos(angle)]])
    turned[:3] = turn @ lidar2cam[:3]
    scan, pixel, *_ = compare_depth(frame, turned)
    assert (np.abs(scan - pixel) < 0.04 * scan + 0.05).mean() < close.mean() - 0.05


def test_projected_points_fall_on_their_object(frame):
    scan, pixel, seen, (v, u) = compare_depth(frame, frame.cameras['front'].lidar2cam)
    visible = np.abs(scan - pixel) < 0.3
    instance = frame.scan.instance[seen]
    rows = visible & (instance > 0)
    assert rows.sum() > 100
    shown = frame.photographs['front'].instance[v, u]
    assert (shown[rows] == instance[rows]).mean() > 0.9


def test_scan_is_like_a_scan(frame):
    points = frame.scan.points
    assert points.dtype == np.float32 and np.isfinite(points).all()
    reach = np.linalg.norm(points[:, :3], axis=1)
    assert reach.max() < 80.2 and reach.min() > 1.3
    assert points[:, 3].min() >= 0 and points[:, 3].max() <= 1
    assert len(np.unique(np.round(points[:, 3] * 255))) > 50
    elevation = np.rad2deg(np.arcsin(points[:, 2] / reach))
    assert -24.9 < elevation.min() < -24 and 1.9 < elevation.max() < 2.1
    rays = len(frame.lidar.elevations) * frame.lidar.azimuths
    assert 0.5 * rays < len(points) < rays
    order = np.lexsort([np.arange(len(points)), -frame.scan.ring])
    assert (order == np.arange(len(points))).all()  # by beam, from the highest down
    road = frame.scan.semantic == Label.ROAD
    np.testing.assert_allclose(points[road, 2], -1.73, atol=0.12)


def test_range_noise_is_two_centimetres(frame):
    road = (frame.scan.semantic == Label.ROAD) | (frame.scan.semantic == Label.LANE_MARKING)
    points = frame.scan.points[road, :3].astype(np.float64)
    reach = np.linalg.norm(points, axis=1)
    error = reach - reach * -1.73 / points[:, 2]  # the ray meets the plane z = -1.73
    assert 0.015 < np.std(error) < 0.025
    assert abs(np.mean(error)) < 0.005


def test_image_has_contrast_and_sky(frame):
    image = frame.photographs['front'].image
    assert image.shape == (128, 320, 3) and image.dtype == np.uint8
    assert image.std() > 25
    assert np.isinf(frame.photographs['front'].depth).any()


def test_shadow_lies_away_from_the_sun():
    grey = Material((0.5, 0.5, 0.5), Label.ROAD)
    parts = [
        Part(Shape.BOX, (0, 0, -1), (100, 100, 1), grey),
        Part(Shape.BOX, (0, 0, 2), (1, 1, 2), grey)
    ]
    to_sun = np.array([1.0, 0.0, 1.0]) / np.sqrt(2)
    scene = Scene(Primitives(parts), [], Road(4, [0.0], 0, []), np.eye(4), to_sun, 0)
    lit = ShadowMap(scene).lit(
        np.array([[-3.0, 0, 0.1], [3.0, 0, 0.1], [-7.0, 0, 0.1], [-3.0, 3.0, 0.1], [500.0, 0, 0]]))
    np.testing.assert_allclose(lit, [0, 1, 1, 1, 1], atol=1e-6)


def test_another_seed_is_another_picture(mounts, frame):
    again = render_frame(*mounts, seed=3, split=Split.TRAIN, town=0, index=1, heading='road')
    other = render_frame(*mounts, seed=4, split=Split.TRAIN, town=0, index=1, heading='road')
    np.testing.assert_array_equal(again.photographs['front'].image,
                                  frame.photographs['front'].image)
    np.testing.assert_array_equal(again.scan.points, frame.scan.points)
    assert np.abs(other.photographs['front'].image.astype(int) -
                  frame.photographs['front'].image).mean() > 15
