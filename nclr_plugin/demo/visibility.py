"""Visibility of road users in a camera."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .frame import CameraMount, Frame
from .primitives import CORNERS
from .rays import NEAR, CameraRays, cast


class Visibility(NamedTuple):
    """Visibility of K road users in one camera.

    Attributes:
        full_box: (K, 4) left, top, right, bottom of the projected 3D boxes, pixels; NaN for boxes
            behind the camera.
        box: (K, 4) boxes clipped to the image.
        truncation: (K,) share of the full box outside the image; 1 for objects out of view.
        pixels: (K,) number of image pixels that show the object.
        share: (K,) visible share of the object, in pixels.
    """
    full_box: np.ndarray
    box: np.ndarray
    truncation: np.ndarray
    pixels: np.ndarray
    share: np.ndarray


def box_corners(boxes: np.ndarray) -> np.ndarray:
    """Return the (K, 8, 3) corners of boxes (K, 7): centre, length, width, height, yaw."""
    corners = CORNERS * boxes[:, None, 3:6] / 2
    cos, sin = np.cos(boxes[:, 6:]), np.sin(boxes[:, 6:])
    x = cos * corners[..., 0] - sin * corners[..., 1]
    y = sin * corners[..., 0] + cos * corners[..., 1]
    return np.stack([x, y, corners[..., 2]], -1) + boxes[:, None, :3]


def visibility(frame: Frame, camera: str) -> Visibility:
    """Compute the visibility of a frame's road users in a camera.

    Args:
        frame: The frame.
        camera: Name of the camera.

    Returns:
        Boxes, truncation and occlusion. Boxes that reach behind the camera are cut off there.
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
