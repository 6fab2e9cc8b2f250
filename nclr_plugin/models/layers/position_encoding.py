"""Sinusoidal codes of positions in space and in an image."""
from __future__ import annotations


import torch
from torch import Tensor, nn


def sinusoidal_encoding(position: Tensor, channels: int, wavelength: tuple[float, float]) -> Tensor:
    """Encode each coordinate by sines and cosines of geometrically spaced wavelengths.

    Args:
        position: (..., D).
        channels: Channels of the code; those beyond the last multiple of 2 D are zero.
        wavelength: Shortest and longest wavelength, in the unit of ``position``.

    Returns:
        (..., channels).
    """
    dims = position.shape[-1]
    num_waves = channels // (2 * dims)
    exponent = torch.linspace(0, 1, num_waves, device=position.device, dtype=position.dtype)
    shortest, longest = wavelength
    frequency = 2 * torch.pi / (shortest * (longest / shortest)**exponent)
    angle = (position[..., None] * frequency).flatten(-2)
    code = torch.cat((angle.sin(), angle.cos()), -1)
    return nn.functional.pad(code, (0, channels - code.shape[-1]))


def point_pos_encoding(points: Tensor, channels: int, wavelength: tuple[float, float]) -> Tensor:
    """Encode points by Cartesian coordinates, range and azimuth.

    A random yaw changes x and y of every point and the products of their codes. Range stays (a
    pixel's row fixes the range of the road there), and the product of two azimuth codes depends
    on the angle between the points alone.

    Args:
        points: (..., 3), metres, relative to the centre of their scan.
        channels: Channels: half for x, y, z, a quarter each for range and azimuth.
        wavelength: Shortest and longest wavelength of coordinates and range, metres.

    Returns:
        (..., channels).
    """
    quarter = channels // 4
    distance = points[..., :2].norm(dim=-1, keepdim=True)
    azimuth = torch.atan2(points[..., 1], points[..., 0])
    code = circular_harmonics(azimuth, quarter // 2)
    return torch.cat((
        sinusoidal_encoding(points, channels - 2 * quarter, wavelength),
        sinusoidal_encoding(distance, quarter, wavelength),
        nn.functional.pad(code, (0, quarter % 2))), -1)


def circular_harmonics(azimuth: Tensor, num_harmonics: int) -> Tensor:
    """Encode angles (...) as (..., 2 K): cosine and sine of the angle, of twice the angle, ..."""
    turns = azimuth[..., None] * torch.arange(1, num_harmonics + 1, device=azimuth.device)
    return torch.stack((turns.cos(), turns.sin()), -1).flatten(-2)


def rotate_harmonics(code: Tensor, by: Tensor, inverse: bool = False) -> Tensor:
    """Return the code of the sum of two angles, or of their difference.

    Args:
        code: (..., 2 K). The operation is linear: a mean of codes gives the mean of the results.
        by: (..., 2 K), code of the second angle, broadcast with ``code``.
        inverse: Return the code of the difference.
    """
    cos, sin, by_cos, by_sin = code[..., ::2], code[..., 1::2], by[..., ::2], by[..., 1::2]
    if inverse:
        by_sin = -by_sin
    turned = torch.stack((cos * by_cos - sin * by_sin, sin * by_cos + cos * by_sin), -1)
    return turned.flatten(-2)


def pixel_pos_encoding(height: int, azimuth: Tensor, channels: int,
                       wavelength: tuple[float, float]) -> Tensor:
    """Encode the cells of maps, with the azimuth in the channels of :func:`point_pos_encoding`.

    Args:
        height: H.
        azimuth: (V, W, 2 K), codes of the azimuth of the columns in the scan's frame; zeros if it
            is not known.
        channels: Channels: three quarters for column and row, one for the azimuth.
        wavelength: Shortest and longest wavelength of columns and rows, cells.

    Returns:
        (V, H W, channels).
    """
    num_views, width, _ = azimuth.shape
    quarter = channels // 4
    cells = sinusoidal_encoding(
        cell_indices(height, width, azimuth), channels - quarter, wavelength)
    azimuth = azimuth[..., :quarter // 2 * 2]
    azimuth = nn.functional.pad(azimuth, (0, quarter - azimuth.shape[-1]))
    return torch.cat((cells.expand(num_views, -1, -1), azimuth.repeat(1, height, 1)), -1)


def cell_indices(height: int, width: int, like: Tensor) -> Tensor:
    """Return the columns and rows (H * W, 2) of the cells of a map."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype), indexing='ij')
    return torch.stack((u, v), -1).view(-1, 2)
