"""Pinhole cameras: intrinsics, projection, visibility, and the cells of strided feature maps.

A pixel (u, v) has u to the right and v down, with integers at pixel centres: an image of width W
covers -0.5 <= u < W - 0.5.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .se3 import accepts_arrays, matmul_exact, transform_points

MIN_PROJECTION_DEPTH = 1e-3  # metres; nearer points have no pixel


@accepts_arrays
def resize_intrinsics(cam2img: Tensor, scale_u: float, scale_v: float) -> Tensor:
    """Return the intrinsics of the resized image: ``u' = (u + 0.5) s - 0.5``.

    Args:
        cam2img: (..., 3, 3).
        scale_u: New width over old width.
        scale_v: New height over old height.

    Returns:
        (..., 3, 3).
    """
    scale = cam2img.new_tensor([[scale_u, 0., 0.5 * scale_u - 0.5],
                                [0., scale_v, 0.5 * scale_v - 0.5],
                                [0., 0., 1.]])
    return matmul_exact(scale, cam2img).to(cam2img.dtype)


@accepts_arrays
def crop_intrinsics(cam2img: Tensor, left: float, top: float) -> Tensor:
    """Return the intrinsics of the image cropped at column ``left`` and row ``top``.

    Args:
        cam2img: (..., 3, 3).
        left: Number of columns cropped at the left.
        top: Number of rows cropped at the top.

    Returns:
        (..., 3, 3).
    """
    cam2img = cam2img.clone()
    cam2img[..., 0, 2] -= left
    cam2img[..., 1, 2] -= top
    return cam2img


@accepts_arrays
def flip_intrinsics(cam2img: Tensor, width: int) -> Tensor:
    """Return the intrinsics of the image mirrored left to right.

    Use it with :func:`flip_points` and :func:`flip_extrinsics`. The pixel of a point then moves
    from ``u`` to ``width - 1 - u``.

    Args:
        cam2img: (..., 3, 3).
        width: Image width, pixels.

    Returns:
        (..., 3, 3).
    """
    cam2img = cam2img.clone()
    cam2img[..., 0, 1] = -cam2img[..., 0, 1]
    cam2img[..., 0, 2] = width - 1 - cam2img[..., 0, 2]
    return cam2img


@accepts_arrays
def flip_points(points: Tensor) -> Tensor:
    """Mirror a scan left to right: y -> -y.

    Args:
        points: (..., N, 3+), LiDAR frame; columns after the third do not change.

    Returns:
        The mirrored points, shaped like ``points``.
    """
    points = points.clone()
    points[..., 1] = -points[..., 1]
    return points


@accepts_arrays
def flip_extrinsics(lidar2cam: Tensor) -> Tensor:
    """Return the extrinsics in the mirrored world (LiDAR y -> -y, camera x -> -x).

    The result is still a rotation and a translation.

    Args:
        lidar2cam: (..., 4, 4).

    Returns:
        (..., 4, 4).
    """
    lidar = lidar2cam.new_tensor([1., -1., 1., 1.])
    camera = lidar2cam.new_tensor([-1., 1., 1., 1.])
    return camera[:, None] * lidar2cam * lidar


@accepts_arrays
def project_points(points: Tensor, lidar2cam: Tensor,
                   cam2img: Tensor) -> tuple[Tensor, Tensor]:
    """Project LiDAR points into the image.

    Points nearer than 1 mm or behind the camera get the pixel (-1, -1), outside every image, and a
    zero gradient.

    Args:
        points: (..., N, 3), LiDAR frame.
        lidar2cam: (..., 4, 4).
        cam2img: (..., 3, 3), last row (0, 0, 1).

    Returns:
        Pixels (..., N, 2) and depths along the optical axis (..., N), metres, in the
        widest type of the arguments and at least float32.
    """
    in_camera = transform_points(lidar2cam, points)
    depth = in_camera[..., 2]
    ahead = (depth > MIN_PROJECTION_DEPTH)[..., None]
    # Mask before dividing: a division masked afterwards would still give NaN gradients.
    in_camera = torch.where(ahead, in_camera, torch.ones_like(in_camera))
    rays = in_camera / in_camera[..., 2:]
    pixels = matmul_exact(rays, cam2img.transpose(-1, -2))[..., :2]
    return torch.where(ahead, pixels, -torch.ones_like(pixels)), depth


@accepts_arrays
def in_view(pixels: Tensor, depth: Tensor, height: int, width: int,
            min_depth: float = 0.1) -> Tensor:
    """Return which projected points lie in the image.

    Args:
        pixels: (..., N, 2).
        depth: (..., N), metres.
        height: Image height, pixels.
        width: Image width, pixels.
        min_depth: Depth that points in view exceed, metres.

    Returns:
        (..., N) bool.
    """
    u, v = pixels.unbind(-1)
    return ((depth > min_depth) & (u >= -0.5) & (u < width - 0.5) & (v >= -0.5)
            & (v < height - 0.5))


def column_azimuth(cam2img: Tensor, num_columns: int, stride: float) -> Tensor:
    """Return the viewing azimuth of each column of a feature map.

    Args:
        cam2img: (V, 3, 3).
        num_columns: Columns of the map.
        stride: Pixels per column.

    Returns:
        (V, num_columns), radians from the optical axis, positive to the left.
    """
    u = (torch.arange(num_columns, device=cam2img.device) + 0.5) * stride - 0.5
    return torch.atan((cam2img[:, :1, 2] - u) / cam2img[:, :1, 0])


def sector_columns(cam2img: Tensor, num_sectors: int, stride: float) -> Tensor:
    """Return the columns of a feature map onto which equal sectors of azimuth project.

    Args:
        cam2img: (V, 3, 3).
        num_sectors: Number of sectors in a full turn; the first is centred on the optical axis.
        stride: Pixels per column.

    Returns:
        (V, num_sectors) real-valued columns, infinite for sectors behind the camera.
    """
    azimuth = torch.arange(num_sectors, device=cam2img.device) * (2 * torch.pi / num_sectors)
    u = cam2img[:, :1, 2] - cam2img[:, :1, 0] * azimuth.tan()
    return (u.masked_fill(azimuth.cos() < 1e-3, torch.inf) + 0.5) / stride - 0.5


class CellGrid(NamedTuple):
    """Cells of a feature map over its image.

    Cell (i, j) has its centre at the pixel ``((j + 0.5) stride - 0.5, (i + 0.5) stride - 0.5)``.

    Attributes:
        height: Image height, pixels.
        width: Image width, pixels.
        stride: Pixels per cell.
    """
    height: int
    width: int
    stride: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the map, rounded up as by padded convolutions."""
        return -(-self.height // self.stride), -(-self.width // self.stride)

    def centres(self, dtype: torch.dtype | None = None,
                device: torch.device | str | None = None) -> Tensor:
        """Return the centres of the cells.

        Args:
            dtype: Type of the result, torch's default if None.
            device: Device of the result.

        Returns:
            (H', W', 2), pixels (u, v).
        """
        rows, columns = self.shape
        v, u = (
            (torch.arange(size, dtype=dtype or torch.get_default_dtype(), device=device) + 0.5)
            * self.stride - 0.5 for size in (rows, columns))
        return torch.stack([u.expand(rows, -1), v[:, None].expand(-1, columns)], dim=-1)

    def nearest(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Find the cell whose centre is nearest to each pixel.

        Args:
            pixels: (..., 2); pixels outside the image get a cell on its border.

        Returns:
            Row-major index of the cell (...), int64, and distance from the pixel to the centre
            of that cell (...), pixels.
        """
        rows, columns = self.shape
        position = ((pixels.detach() + 0.5) / self.stride).floor().clamp(min=0)
        u, v = position.unbind(-1)
        position = torch.stack([u.clamp(max=columns - 1), v.clamp(max=rows - 1)], dim=-1)
        column, row = position.long().unbind(-1)
        centre = (position + 0.5) * self.stride - 0.5
        return row * columns + column, (pixels - centre).norm(dim=-1)

    def window(self, cell: Tensor, radius: int) -> tuple[Tensor, Tensor]:
        """Return the cells around each cell.

        Args:
            cell: (...), row-major indices.
            radius: Number of cells to each side.

        Returns:
            Indices (..., (2 radius + 1)^2), clipped to the map, and the mask of those in the map.
        """
        rows, columns = self.shape
        step = torch.arange(-radius, radius + 1, device=cell.device)
        row = torch.div(cell, columns, rounding_mode='floor')[..., None, None] + step[:, None]
        column = (cell % columns)[..., None, None] + step
        row, column = (side.flatten(-2) for side in torch.broadcast_tensors(row, column))
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        return row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1), inside

    def covered(self, pixels: Tensor, mask: Tensor, dilation: int = 1) -> Tensor:
        """Return which cells are covered by projected points: the pixel labels of Eq. 3.

        The rings of a LiDAR are farther apart than the cells of a fine map, so hits are dilated.

        Args:
            pixels: (V, L, 2), projected points.
            mask: (V, L) bool, points that count.
            dilation: Number of cells that a hit spreads in each direction.

        Returns:
            (V, H', W') bool.
        """
        rows, columns = self.shape
        hits = torch.zeros(len(pixels), rows * columns, device=pixels.device)
        # Maximum, not assignment: several points fall into one cell, and not all of them count.
        hits.scatter_reduce_(1, self.nearest(pixels)[0], mask.to(hits), 'amax')
        hits = hits.view(len(pixels), 1, rows, columns)
        return F.max_pool2d(hits, 2 * dilation + 1, stride=1, padding=dilation)[:, 0] > 0
