"""Sinusoidal codes of positions in space and in an image."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor, nn


def sinusoidal_encoding(position: Tensor, channels: int, wavelength: Tuple[float, float]) -> Tensor:
    """Sines and cosines of each coordinate at geometrically spaced wavelengths.

    Args:
        position: (..., D).
        channels: Channels of the code; those beyond the last multiple of 2 D are zero.
        wavelength: Shortest and longest wavelength, in the unit of ``position``.

    Returns:
        Tensor: (..., channels).
    """
    dims = position.shape[-1]
    num_waves = channels // (2 * dims)
    exponent = torch.linspace(0, 1, num_waves, device=position.device, dtype=position.dtype)
    shortest, longest = wavelength
    frequency = 2 * torch.pi / (shortest * (longest / shortest)**exponent)
    angle = (position[..., None] * frequency).flatten(-2)
    code = torch.cat((angle.sin(), angle.cos()), -1)
    return nn.functional.pad(code, (0, channels - code.shape[-1]))


def scan_encoding(points: Tensor, channels: int, wavelength: Tuple[float, float]) -> Tensor:
    """Code of points seen from a turning sensor: Cartesian, range and azimuth.

    A random placement turns the scan, which changes x and y of every point and the products of
    their codes. Range does not change (a pixel's row fixes the range of the road it sees), and
    the product of two azimuth codes depends on the angle between the points alone.

    Args:
        points: (..., 3), metres, relative to the centre of their scan.
        channels: Channels: half for x, y, z, a quarter each for range and azimuth.
        wavelength: Shortest and longest wavelength of coordinates and range, metres.

    Returns:
        Tensor: (..., channels).
    """
    quarter = channels // 4
    distance = points[..., :2].norm(dim=-1, keepdim=True)
    azimuth = torch.atan2(points[..., 1], points[..., 0])
    code = azimuth_code(azimuth, quarter // 2)
    return torch.cat((
        sinusoidal_encoding(points, channels - 2 * quarter, wavelength),
        sinusoidal_encoding(distance, quarter, wavelength),
        nn.functional.pad(code, (0, quarter % 2))), -1)


def azimuth_code(azimuth: Tensor, num_harmonics: int) -> Tensor:
    """(...) radians -> (..., 2 K): cosine and sine of the angle, of twice the angle, and so on."""
    turns = azimuth[..., None] * torch.arange(1, num_harmonics + 1, device=azimuth.device)
    return torch.stack((turns.cos(), turns.sin()), -1).flatten(-2)


def turn_code(code: Tensor, by: Tensor, back: bool = False) -> Tensor:
    """The code of the sum of two azimuths, of their difference with ``back``.

    Args:
        code, by: (..., 2 K), broadcast. Of a mean of codes, the mean of what their members give.
    """
    cos, sin, by_cos, by_sin = code[..., ::2], code[..., 1::2], by[..., ::2], by[..., 1::2]
    if back:
        by_sin = -by_sin
    turned = torch.stack((cos * by_cos - sin * by_sin, sin * by_cos + cos * by_sin), -1)
    return turned.flatten(-2)


def view_encoding(height: int, azimuth: Tensor, channels: int,
                  wavelength: Tuple[float, float]) -> Tensor:
    """Code of the cells of maps, with channels for azimuth where :func:`scan_encoding` has them.

    Args:
        height: H.
        azimuth: (V, W, 2 K), code of the direction each column looks in, in the scan's frame;
            zeros where that is not known.
        channels: Channels: three quarters for column and row, one for the azimuth.
        wavelength: Shortest and longest wavelength of columns and rows, cells.

    Returns:
        Tensor: (V, H W, channels).
    """
    num_views, width, _ = azimuth.shape
    quarter = channels // 4
    cells = sinusoidal_encoding(cell_grid(height, width, azimuth), channels - quarter, wavelength)
    azimuth = azimuth[..., :quarter // 2 * 2]
    azimuth = nn.functional.pad(azimuth, (0, quarter - azimuth.shape[-1]))
    return torch.cat((cells.expand(num_views, -1, -1), azimuth.repeat(1, height, 1)), -1)


def cell_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(H * W, 2) columns and rows of the cells of a map."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype), indexing='ij')
    return torch.stack((u, v), -1).view(-1, 2)
