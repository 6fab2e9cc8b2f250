"""A world of coloured rectangles before a wall: images and scans with known poses."""
import numpy as np
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT = 320, 160
CAM2IMG = np.array([[200., 0, 159.5], [0, 200, 79.5], [0, 0, 1]])
AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])


def true_pose():
    """A LiDAR (x forward, z up) above and behind a camera."""
    lidar2cam = np.eye(4)
    lidar2cam[:3, :3] = Rotation.from_euler('xyz', [1, -2, 0.5], degrees=True).as_matrix() @ AXES
    lidar2cam[:3, 3] = 0.05, -0.1, -0.2
    return lidar2cam


def make_frame(seed, lidar2cam, num_rectangles=14, cam2img=CAM2IMG, size=(WIDTH, HEIGHT)):
    """Image (H, W, 3) uint8 and scan (N, 4) of one world, which the seed decides.

    Rectangles face the camera; their fields of 0.8 m have the grey values that are the reflectance.
    """
    rng = np.random.default_rng(seed)
    depth = np.append(np.sort(rng.uniform(4, 15, num_rectangles)), 20.)
    centre = rng.uniform([-0.7, -0.35], [0.7, 0.35], (num_rectangles, 2)) * depth[:-1, None]
    half = rng.uniform(0.4, 1.2, (num_rectangles, 2))
    centre, half = np.append(centre, [[0, 0]], 0), np.append(half, [[99, 99]], 0)
    grey = rng.uniform(0.1, 0.9, num_rectangles + 1)
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rays = np.stack(((u - cam2img[0, 2]) / cam2img[0, 0], (v - cam2img[1, 2]) / cam2img[1, 1],
                     np.ones(u.shape)), -1).reshape(-1, 3)
    hit, distance = _cast(np.zeros(3), rays, depth, centre, half)
    shade = _paint(grey[hit], rays * distance[:, None])
    image = np.repeat((shade * 255).reshape(*u.shape, 1), 3, 2)
    image = (image + rng.normal(0, 4, image.shape)).clip(0, 255).astype(np.uint8)
    azimuth, elevation = np.meshgrid(np.radians(np.arange(-60, 60, 0.25)),
                                     np.radians(np.arange(-25, 25, 0.7)))
    rays = np.stack((np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth),
                     np.sin(elevation)), -1).reshape(-1, 3)
    R, t = lidar2cam[:3, :3], lidar2cam[:3, 3]
    hit, distance = _cast(t, rays @ R.T, depth, centre, half)
    keep = np.isfinite(distance)
    hit, rays = hit[keep], rays[keep] * distance[keep, None]
    points = np.column_stack((rays, _paint(grey[hit], rays @ R.T + t)))
    return image, points.astype(np.float32)


def off_by(lidar2cam, degrees, metres):
    """The pose turned about and moved along the camera's axes."""
    moved = lidar2cam.copy()
    moved[:3, :3] = Rotation.from_rotvec(degrees, degrees=True).as_matrix() @ lidar2cam[:3, :3]
    moved[:3, 3] += metres
    return moved


def _paint(grey, points):
    """Grey values (N,) of points (N, 3), camera frame, on rectangles of these grey values."""
    field = np.floor(points[:, :2] / 0.8).astype(int).sum(1)
    return grey + np.array([-0.08, 0., 0.08])[field % 3]


def _cast(origin, rays, depth, centre, half):
    """Rectangle that each ray (N, 3) hits first, and the distance (N,), infinite behind."""
    with np.errstate(divide='ignore', invalid='ignore'):
        distance = (depth - origin[2]) / rays[:, 2:]
    at = origin[:2] + distance[..., None] * rays[:, None, :2]
    inside = (np.abs(at - centre) <= half).all(-1) & (distance > 0)
    distance = np.where(inside, distance, np.inf)
    hit = distance.argmin(1)
    return hit, distance[np.arange(len(rays)), hit]
