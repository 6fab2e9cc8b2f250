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


def cell_grid(height: int, width: int, like: Tensor) -> Tensor:
    """(H * W, 2) columns and rows of the cells of a map."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype), indexing='ij')
    return torch.stack((u, v), -1).view(-1, 2)
