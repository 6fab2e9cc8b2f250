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
    azimuth = torch.atan2(points[..., 1:2], points[..., :1])
    turns = azimuth * torch.arange(1, quarter // 2 + 1, device=points.device)
    return torch.cat((
        sinusoidal_encoding(points, channels - 2 * quarter, wavelength),
        sinusoidal_encoding(distance, quarter, wavelength),
        nn.functional.pad(torch.cat((turns.cos(), turns.sin()), -1), (0, quarter % 2))), -1)


def cell_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(H * W, 2) columns and rows of the cells of a map."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype), indexing='ij')
    return torch.stack((u, v), -1).view(-1, 2)
