"""Pinhole intrinsics under resize, crop, flip and stride; projection; visibility.

A pixel (u, v) has u to the right and v down, with integers at pixel centres: an image of width W
covers -0.5 <= u < W - 0.5.
"""
from __future__ import annotations

from typing import Optional, Tuple, Union

import torch
from torch import Tensor

from .se3 import matmul_exact, transform_points

MIN_PROJECTION_DEPTH = 1e-3  # metres; nearer points have no pixel


def resize_intrinsics(cam2img: Tensor, scale_u: float, scale_v: float) -> Tensor:
    """Intrinsics of the resized image: ``u' = (u + 0.5) s - 0.5``.

    Args:
        cam2img: (..., 3, 3).
        scale_u: New width over old width.
        scale_v: New height over old height.

    Returns:
        Tensor: (..., 3, 3).
    """
    scale = cam2img.new_tensor([[scale_u, 0., 0.5 * scale_u - 0.5],
                                [0., scale_v, 0.5 * scale_v - 0.5],
                                [0., 0., 1.]])
    return matmul_exact(scale, cam2img).to(cam2img.dtype)


def crop_intrinsics(cam2img: Tensor, left: float, top: float) -> Tensor:
    """Intrinsics of the image cut at column ``left`` and row ``top``.

    Args:
        cam2img: (..., 3, 3).
        left: Columns cut off on the left.
        top: Rows cut off above.

    Returns:
        Tensor: (..., 3, 3).
    """
    cam2img = cam2img.clone()
    cam2img[..., 0, 2] -= left
    cam2img[..., 1, 2] -= top
    return cam2img


def flip_intrinsics(cam2img: Tensor, width: int) -> Tensor:
    """Intrinsics of the image mirrored left to right, of a camera in the mirrored world.

    Goes with :func:`flip_points` and :func:`flip_extrinsics`: then a point's pixel moves from
    ``u`` to ``width - 1 - u``.

    Args:
        cam2img: (..., 3, 3).
        width: Image width, pixels.

    Returns:
        Tensor: (..., 3, 3).
    """
    cam2img = cam2img.clone()
    cam2img[..., 0, 1] = -cam2img[..., 0, 1]
    cam2img[..., 0, 2] = width - 1 - cam2img[..., 0, 2]
    return cam2img


def flip_points(points: Tensor) -> Tensor:
    """Mirrors a scan left to right: y -> -y.

    Args:
        points: (..., N, 3+), LiDAR frame; columns beyond the third stay.

    Returns:
        Tensor: As ``points``.
    """
    points = points.clone()
    points[..., 1] = -points[..., 1]
    return points


def flip_extrinsics(lidar2cam: Tensor) -> Tensor:
    """The extrinsics in the mirrored world (LiDAR y -> -y, camera x -> -x): still a rotation.

    Args:
        lidar2cam: (..., 4, 4).

    Returns:
        Tensor: (..., 4, 4).
    """
    lidar = lidar2cam.new_tensor([1., -1., 1., 1.])
    camera = lidar2cam.new_tensor([-1., 1., 1., 1.])
    return camera[:, None] * lidar2cam * lidar


def cell_centres(height: int,
                 width: int,
                 stride: int,
                 dtype: Optional[torch.dtype] = None,
                 device: Union[torch.device, str, None] = None) -> Tensor:
    """Where the cells of a strided feature map lie in the image.

    Cell (i, j) has its centre at ``((j + 0.5) stride - 0.5, (i + 0.5) stride - 0.5)``.

    Args:
        height: Image height, pixels.
        width: Image width, pixels.
        stride: Pixels per cell; a map has ``ceil(size / stride)`` cells.
        dtype: Type of the result, torch's default if None.
        device: Device of the result.

    Returns:
        Tensor: (H, W, 2), the map's pixel coordinates (u, v).
    """
    rows, columns = map_size(height, width, stride)
    u = (torch.arange(columns, dtype=dtype or torch.get_default_dtype(), device=device) + 0.5)
    v = (torch.arange(rows, dtype=dtype or torch.get_default_dtype(), device=device) + 0.5)
    u, v = u * stride - 0.5, v * stride - 0.5
    return torch.stack([u.expand(rows, -1), v[:, None].expand(-1, columns)], dim=-1)


def map_size(height: int, width: int, stride: int) -> Tuple[int, int]:
    """Rows and columns of a feature map of a given stride, as padded convolutions give them.

    Args:
        height: Image height, pixels.
        width: Image width, pixels.
        stride: Pixels per cell.

    Returns:
        tuple: rows and columns.
    """
    return -(-height // stride), -(-width // stride)


def project_points(points: Tensor, lidar2cam: Tensor,
                   cam2img: Tensor) -> Tuple[Tensor, Tensor]:
    """Projects LiDAR points into the image.

    Points nearer than 1 mm, or behind the camera, get the pixel (-1, -1), outside every image,
    with a zero gradient.

    Args:
        points: (..., N, 3), LiDAR frame.
        lidar2cam: (..., 4, 4).
        cam2img: (..., 3, 3), last row (0, 0, 1).

    Returns:
        tuple: pixels (..., N, 2) and depths along the optical axis (..., N), metres, in the
        widest type of the arguments and at least float32.
    """
    in_camera = transform_points(lidar2cam, points)
    depth = in_camera[..., 2]
    ahead = (depth > MIN_PROJECTION_DEPTH)[..., None]
    # Chosen before dividing: a division masked afterwards would still give NaN gradients.
    in_camera = torch.where(ahead, in_camera, torch.ones_like(in_camera))
    rays = in_camera / in_camera[..., 2:]
    pixels = matmul_exact(rays, cam2img.transpose(-1, -2))[..., :2]
    return torch.where(ahead, pixels, -torch.ones_like(pixels)), depth


def in_view(pixels: Tensor, depth: Tensor, height: int, width: int,
            min_depth: float = 0.1) -> Tensor:
    """Which projected points fall into the image.

    Args:
        pixels: (..., N, 2).
        depth: (..., N), metres.
        height: Image height, pixels.
        width: Image width, pixels.
        min_depth: Nearer points are not in view, metres.

    Returns:
        Tensor: (..., N) bool.
    """
    u, v = pixels.unbind(-1)
    return ((depth > min_depth) & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5)
            & (v < height - 0.5))
