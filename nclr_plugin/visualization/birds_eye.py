"""Bird's-eye view of a scan, with or without the field of view of a camera."""
from __future__ import annotations


import numpy as np
from torch import Tensor

from ..utils.optional import optional_import
from .canvas import BACKGROUND, WHITE, write
from .points import draw_discs

LINE = (90, 90, 90)
PANEL_HEIGHT = 400  # maximum height of the panels beside it, of which there are three


def draw_birds_eye(points: Tensor, colours: np.ndarray, lidar2cam: Tensor | None,
                   cam2img: Tensor | None, width: int, size: int) -> np.ndarray:
    """Draw points from above, with the camera in the centre and its viewing direction upwards.

    Without a camera, the LiDAR is in the centre and its x axis points upwards. The panel shows
    the distance that contains 98% of the points, with rings every 10 or 20 metres and the
    borders of the field of view.

    Args:
        points: (N, 3+) points in the LiDAR frame, metres, z upwards; later points cover earlier
            ones.
        colours: (N, 3) uint8 RGB.
        lidar2cam: (4, 4) extrinsics, or ``None`` for no camera.
        cam2img: (3, 3) intrinsics; ignored without a camera.
        width: Image width, pixels; ignored without a camera.
        size: Width and height of the panel, pixels.

    Returns:
        (size, size, 3) uint8 RGB panel.
    """
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Pictures')
    if lidar2cam is None:
        ahead, rays, position = np.array([1., 0.]), np.zeros((0, 2)), np.zeros(2)
    else:
        ahead, rays, position = _camera_from_above(lidar2cam, cam2img, width)
    offset = points[:, :2].detach().cpu().double().numpy() - position
    reach = _reach(offset)
    scale = size / 2 / reach

    def to_panel(metres: np.ndarray) -> np.ndarray:
        return _to_panel(metres, ahead, scale, size)

    panel = np.full((size, size, 3), BACKGROUND, np.uint8)
    centre = (size // 2, size // 2)
    step = 10 if reach <= 40 else 20
    rings = range(step, int(reach) + 1, step)
    for metres in rings:
        cv2.circle(panel, centre, int(round(metres * scale)), LINE, 1, cv2.LINE_AA)
    panel = draw_discs(panel, to_panel(offset), colours)
    for ray in rays:
        end = to_panel(2 * reach * ray)
        cv2.line(panel, centre, tuple(int(x) for x in np.rint(end)), WHITE, 1, cv2.LINE_AA)
    for metres in rings:
        # Labels stand diagonally behind, where there are fewer points than along the road.
        oblique = int(metres * scale * np.sqrt(0.5)) + 4
        panel = write(panel, f'{metres} m', (centre[0] + oblique, centre[1] + oblique), 0.5)
    return panel


def panel_coordinates(points: Tensor, places: np.ndarray, size: int) -> np.ndarray:
    """Find places in the panel that :func:`draw_birds_eye` draws without a camera.

    Args:
        points: (N, 3+), those that are drawn.
        places: (..., 2), x and y, LiDAR frame, metres.
        size: Size of the panel, pixels.

    Returns:
        (..., 2) pixels, (u, v).
    """
    reach = _reach(points[:, :2].detach().cpu().double().numpy())
    return _to_panel(places, np.array([1., 0.]), size / 2 / reach, size)


def _to_panel(metres: np.ndarray, ahead: np.ndarray, scale: float, size: int) -> np.ndarray:
    across = np.array([ahead[1], -ahead[0]])
    return (size - 1) / 2 + scale * np.stack([metres @ across, -metres @ ahead], axis=-1)


def _camera_from_above(lidar2cam: Tensor, cam2img: Tensor,
                       width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the directions of the optical axis (2,) and of the image's edges (2, 2), and the
    position of the camera (2,), seen from above."""
    lidar2cam, cam2img = (t.detach().cpu().double().numpy() for t in (lidar2cam, cam2img))
    rotation = lidar2cam[:3, :3]
    position = -rotation.T @ lidar2cam[:3, 3]
    edges = np.array([[-0.5, cam2img[1, 2], 1], [width - 0.5, cam2img[1, 2], 1]])
    rays = (np.linalg.inv(cam2img) @ edges.T).T @ rotation
    heading = np.arctan2(rotation[2, 1], rotation[2, 0])
    rays = rays[:, :2] / np.linalg.norm(rays[:, :2], axis=1, keepdims=True).clip(1e-6)
    return np.array([np.cos(heading), np.sin(heading)]), rays, position[:2]


def _reach(offset: np.ndarray) -> float:
    """Return the distance from the centre to the border in metres, a multiple of ten."""
    distance = np.linalg.norm(offset, axis=1)
    return 10 * max(1., np.ceil(np.quantile(distance, 0.98) / 10)) if len(offset) else 10.
