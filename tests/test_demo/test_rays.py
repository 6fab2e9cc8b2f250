"""The ray caster against every ray times every solid, in float64 and by other formulas."""
import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from nclr_plugin.demo.primitives import Material, Part, Primitives, Shape
from nclr_plugin.demo.rays import CameraRays, LidarRays, SunRays, cast

PLAIN = Material((0.5, 0.5, 0.5), 50)


def random_parts(seed, count=40):
    """Solids of all shapes around the origin, some below, above and behind."""
    rng = np.random.default_rng(seed)
    parts = [Part(Shape.BOX, (0, 0, -2.5), (60, 60, 0.5), PLAIN)]
    for k in range(count):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(5, 30)
        half = rng.uniform(0.1, 2.5, 3)
        shape = Shape(k % 4)
        if shape == Shape.CYLINDER:
            half[1] = half[0]
        parts.append(
            Part(shape, (reach * np.cos(angle), reach * np.sin(angle), rng.uniform(-3, 5)),
                 tuple(half), PLAIN,
                 Rotation.random(random_state=seed * 100 + k).as_matrix(),
                 tuple(rng.uniform(0, 1, 3))))
    return parts


def hull_vertices(part):
    bottom = [(x, y, -1) for x in (-1, 1) for y in (-1, 1)]
    front, back, side = part.inset if part.shape == Shape.FRUSTUM else (0, 0, 0)
    top = [(x, y * (1 - side), 1) for x in (-1 + back, 1 - front) for y in (-1, 1)]
    return np.array(bottom + top) * part.half @ part.rotation.T + part.center


def brute_force(part, origin, direction):
    """First t > 0 of rays (N, 3) on one solid, float64; inf where missed."""
    if part.shape in (Shape.BOX, Shape.FRUSTUM):
        faces = ConvexHull(hull_vertices(part), qhull_options='QJ Pp').equations
        rate = direction @ faces[:, :3].T
        t = -(origin @ faces[:, :3].T + faces[:, 3]) / rate
        enter = np.where(rate < 0, t, -np.inf).max(1)
        leave = np.where(rate > 0, t, np.inf).min(1)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)
    o = (origin - part.center) @ part.rotation / part.half
    d = direction @ part.rotation / part.half
    axes = [0, 1] if part.shape == Shape.CYLINDER else [0, 1, 2]
    a, b = (d[:, axes]**2).sum(1), (o[:, axes] * d[:, axes]).sum(1)
    disc = b * b - a * ((o[:, axes]**2).sum(1) - 1)
    t = (-b - np.sqrt(np.maximum(disc, 0))) / a
    hits = [np.where(disc >= 0, t, np.inf)]
    if part.shape == Shape.CYLINDER:
        hits[0] = np.where(np.abs(o[:, 2] + t * d[:, 2]) <= 1, hits[0], np.inf)
        for cap in (-1, 1):
            t = (cap - o[:, 2]) / d[:, 2]
            point = o + t[:, None] * d
            hits.append(np.where((point[:, :2]**2).sum(1) <= 1, t, np.inf))
    hits = np.array(hits)
    return np.where(hits > 0, hits, np.inf).min(0)


def camera_rays(seed):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('zyx', [0.7 + seed, 0.1, -0.05]).as_matrix() @ np.array(
        [[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose[:3, 3] = 0.3, -0.2, 0.4
    grid = CameraRays(64, 40, np.array([[40.0, 0, 30.2], [0, 42.0, 19.1], [0, 0, 1]]), pose)
    v, u = np.mgrid[:40, :64].reshape(2, -1)
    direction = np.stack([(u - 30.2) / 40, (v - 19.1) / 42, np.ones(len(u))], 1) @ pose[:3, :3].T
    return grid, np.broadcast_to(pose[:3, 3], direction.shape), direction


def lidar_rays(seed):
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('z', 2.1 * seed - 1).as_matrix()
    pose[:3, 3] = -0.1, 0.2, 0.1
    elevations = np.deg2rad(np.linspace(40, -60, 32))
    grid = LidarRays(elevations, 120, 2.5, pose)
    azimuth = 2.5 - np.arange(120) * 2 * np.pi / 120
    e, a = np.meshgrid(elevations, azimuth, indexing='ij')
    direction = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1)
    direction = direction.reshape(-1, 3) @ pose[:3, :3].T
    return grid, np.broadcast_to(pose[:3, 3], direction.shape), direction


def sun_rays(seed):
    to_sun = np.array([np.cos(seed), np.sin(seed), 1.1])
    to_sun /= np.linalg.norm(to_sun)
    grid = SunRays(np.array([1.0, 2.0, 0.0]), to_sun, 25.0, 60)
    rows, cols = np.mgrid[:60, :60].reshape(2, -1)
    origin = grid.points(np.zeros(len(rows)), rows, cols)
    return grid, origin, np.broadcast_to(-to_sun, origin.shape)


@pytest.mark.parametrize('make', [camera_rays, lidar_rays, sun_rays])
@pytest.mark.parametrize('seed', range(4))
def test_agrees_with_every_ray_times_every_solid(make, seed):
    parts = random_parts(seed)
    grid, origin, direction = make(seed)
    with np.errstate(all='ignore'):
        every = np.stack([brute_force(part, origin, direction) for part in parts])
    distance, index = cast(Primitives(parts), grid)
    nearest = every.min(0)
    hit = np.isfinite(nearest)
    assert 0.3 < hit.mean() and len(np.unique(every.argmin(0)[hit])) > 5
    same = index.ravel() == np.where(hit, every.argmin(0), -1)
    assert same.mean() > 0.998  # a ray that grazes an edge may fall to either side in float32
    both = same & hit
    np.testing.assert_allclose(distance.ravel()[both], nearest[both], rtol=2e-4)
    assert np.isinf(distance.ravel()[index.ravel() < 0]).all()


def test_boxes_above_around_and_behind():
    """Bounds must hold where a box surrounds the LiDAR's axis or crosses the camera's plane."""
    parts = [
        Part(Shape.BOX, (0, 0, 3), (4, 4, 0.2), PLAIN),
        Part(Shape.BOX, (0, 0, -2), (5, 5, 0.2), PLAIN),
        Part(Shape.BOX, (0, 2, 0), (30, 0.3, 1), PLAIN),
        Part(Shape.BOX, (-6, 0, 0), (0.2, 3, 1), PLAIN),
    ]
    for make in (camera_rays, lidar_rays):
        grid, origin, direction = make(0)
        every = np.stack([brute_force(part, origin, direction) for part in parts])
        distance, index = cast(Primitives(parts), grid)
        expected = np.where(np.isfinite(every.min(0)), every.argmin(0), -1)
        assert (index.ravel() == expected).mean() > 0.998
        assert set(np.unique(expected)) >= {1, 2}


def test_ray_parallel_to_a_face_hits():
    grid = LidarRays(np.array([0.0]), 4, 0.0, np.eye(4))
    distance, index = cast(Primitives([Part(Shape.BOX, (5, 0, 0), (1, 1, 1), PLAIN)]), grid)
    assert index[0, 0] == 0
    assert distance[0, 0] == pytest.approx(4.0)
    assert (index[0, 1:] == -1).all()
