"""A frame: a scene recorded by a LiDAR and cameras."""
from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Mapping, NamedTuple

import numpy as np

from .primitives import CORNERS
from .rays import NEAR, CameraRays, LidarRays, cast
from .scene import Object, Scene, Town
from .sensors import Photograph, Scan, ShadowMap, photograph, scan
from .street import build_scene


class Split(enum.IntEnum):
    """Split of a data set; each has its own random stream."""
    TRAIN = 0
    VAL = 1
    TEST = 2


class CameraMount(NamedTuple):
    """A camera on the ego vehicle.

    Attributes:
        cam2img: (3, 3) intrinsics.
        width: Image width, pixels.
        height: Image height, pixels.
        lidar2cam: (4, 4) extrinsics.
    """
    cam2img: np.ndarray
    width: int
    height: int
    lidar2cam: np.ndarray


class LidarMount(NamedTuple):
    """A LiDAR on the ego vehicle.

    Attributes:
        elevations: (beams,) elevations in descending order, radians.
        azimuths: Number of azimuth steps per turn.
        lidar2ego: (4, 4) pose in the ego frame: x forward, z up, origin on the ground.
    """
    elevations: np.ndarray
    azimuths: int
    lidar2ego: np.ndarray


@dataclass(frozen=True)
class Frame:
    """A scene with the data of all sensors.

    Attributes:
        scene: The scene.
        scan: Scan of the LiDAR.
        photographs: Images of the cameras by name.
        cameras: Mounts of the cameras by name.
        lidar: Mount of the LiDAR.
        boxes: (K, 7) boxes of road users in the LiDAR frame: centre x, y, z, length, width,
            height, yaw.
        num_points: (K,) number of LiDAR returns of each road user.
    """
    scene: Scene
    scan: Scan
    photographs: dict[str, Photograph]
    cameras: Mapping[str, CameraMount]
    lidar: LidarMount
    boxes: np.ndarray
    num_points: np.ndarray

    @property
    def objects(self) -> list[Object]:
        """Return the road users in the order of ``boxes``."""
        return self.scene.objects

    @property
    def lidar2world(self) -> np.ndarray:
        """Return the (4, 4) pose of the LiDAR in the world frame."""
        return self.scene.ego2world @ self.lidar.lidar2ego


def beam_elevations(beams: int) -> np.ndarray:
    """Return the beam elevations of a LiDAR model.

    Args:
        beams: Number of beams. 64: like a Velodyne HDL-64E, +2 to -24.8 degrees, denser above
            -8.8 degrees. 32: like an HDL-32E, +10.67 to -30.67 degrees.

    Returns:
        (beams,) elevations in descending order, radians.

    Raises:
        ValueError: If ``beams`` is neither 64 nor 32.
    """
    if beams == 64:
        degrees = np.concatenate([np.linspace(2.0, -8.33, 32), np.linspace(-8.83, -24.8, 32)])
    elif beams == 32:
        degrees = np.linspace(10.67, -30.67, 32)
    else:
        raise ValueError(f'beams: expected 64 or 32, found {beams}.')
    return np.deg2rad(degrees)


def town_rng(seed: int, split: Split, town: int) -> np.random.Generator:
    """Return the random generator of a town, the same for all its scenes."""
    return np.random.default_rng((seed, int(split), 0, town))


def render_frame(cameras: Mapping[str, CameraMount], lidar: LidarMount, seed: int, split: Split,
                 town: int, index: int, heading: str) -> Frame:
    """Build a scene and simulate its sensors.

    Equal arguments give equal frames.

    Args:
        cameras: Mounts of the cameras by name.
        lidar: Mount of the LiDAR.
        seed: Seed of the whole data set.
        split: Split of the data set.
        town: Index of the town within the split.
        index: Index of the scene within the split.
        heading: See :func:`build_scene`.

    Returns:
        The frame.
    """
    rng = np.random.default_rng((seed, int(split), 1, index))
    scene = build_scene(Town.build(town_rng(seed, split, town)), rng, heading)
    lidar2world = scene.ego2world @ lidar.lidar2ego
    turn = LidarRays(lidar.elevations, lidar.azimuths, rng.uniform(-np.pi, np.pi), lidar2world)
    record = scan(scene, turn, rng)
    shadows = ShadowMap(scene)
    photographs = {
        name: photograph(scene, shadows, CameraRays(
            mount.width, mount.height, mount.cam2img,
            lidar2world @ np.linalg.inv(mount.lidar2cam)), rng)
        for name, mount in cameras.items()
    }
    counts = np.bincount(record.instance, minlength=len(scene.objects) + 1)[1:]
    return Frame(scene, record, photographs, cameras, lidar, _boxes(scene, lidar2world), counts)


def _boxes(scene: Scene, lidar2world: np.ndarray) -> np.ndarray:
    if not scene.objects:
        return np.zeros((0, 7))
    world2lidar = np.linalg.inv(lidar2world)
    rows = []
    for thing in scene.objects:
        ahead = world2lidar[:2, :2] @ (np.cos(thing.yaw), np.sin(thing.yaw))
        yaw = np.arctan2(ahead[1], ahead[0])
        center = world2lidar[:3, :3] @ thing.center + world2lidar[:3, 3]
        rows.append([*center, *thing.size, yaw])
    return np.array(rows)


class Visibility(NamedTuple):
    """Visibility of K road users in one camera.

    Attributes:
        full_box: (K, 4) left, top, right, bottom of the projected 3D boxes, pixels; NaN for boxes
            behind the camera.
        box: (K, 4) boxes clipped to the image.
        truncation: (K,) share of the full box outside the image; 1 for objects out of view.
        pixels: (K,) number of image pixels that show the object.
        share: (K,) share of the object's pixels that are not occluded.
    """
    full_box: np.ndarray
    box: np.ndarray
    truncation: np.ndarray
    pixels: np.ndarray
    share: np.ndarray


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """Return the (K, 8, 3) corners of (K, 7) boxes: centre, length, width, height, yaw."""
    corners = CORNERS * boxes[:, None, 3:6] / 2
    cos, sin = np.cos(boxes[:, 6:]), np.sin(boxes[:, 6:])
    x = cos * corners[..., 0] - sin * corners[..., 1]
    y = sin * corners[..., 0] + cos * corners[..., 1]
    return np.stack([x, y, corners[..., 2]], -1) + boxes[:, None, :3]


def visibility(frame: Frame, camera: str) -> Visibility:
    """Compute the visibility of the road users in a camera.

    Args:
        frame: The frame.
        camera: Name of the camera.

    Returns:
        Boxes, truncation and occlusion. Before projection, the corners behind the camera are moved
        to its near plane.
    """
    mount = frame.cameras[camera]
    full = _project(box_corners(frame.boxes), mount)
    limit = np.array([mount.width - 1, mount.height - 1] * 2)
    box = np.clip(full, 0, limit)
    area = np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), 1)
    with np.errstate(invalid='ignore', divide='ignore'):
        truncation = np.nan_to_num(1 - area / np.prod(full[:, 2:] - full[:, :2], 1), nan=1.0)
    count = len(frame.objects)
    pixels = np.bincount(frame.photographs[camera].instance.ravel(),
                         minlength=count + 1)[1:count + 1]
    rays = CameraRays(mount.width, mount.height, mount.cam2img,
                      frame.lidar2world @ np.linalg.inv(mount.lidar2cam))
    share = np.zeros(count)
    for k in np.flatnonzero(pixels):
        alone = frame.scene.primitives.take(frame.scene.primitives.instance == k + 1)
        share[k] = pixels[k] / (cast(alone, rays)[1] >= 0).sum()
    return Visibility(full, box, truncation, pixels, share)


def _project(corners: np.ndarray, mount: CameraMount) -> np.ndarray:
    points = corners @ mount.lidar2cam[:3, :3].T + mount.lidar2cam[:3, 3]
    behind = (points[..., 2] < NEAR).all(1)
    points[..., 2] = np.maximum(points[..., 2], NEAR)
    pixels = (points @ mount.cam2img.T)[..., :2] / points[..., 2:]
    boxes = np.concatenate([pixels.min(1), pixels.max(1)], 1)
    boxes[behind] = np.nan
    return boxes
