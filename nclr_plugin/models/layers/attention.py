"""Attention and feed-forward blocks (pre-norm, with a residual), and encodings of positions."""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POINT_WAVELENGTH = (2., 200.)  # metres, shortest and longest of the code of positions
MASKED_LOGIT = -1e4  # finite, also in half precision: a row without any key stays finite


class AttentionBlock(nn.Module):
    r"""Multi-head attention: :math:`x + W_o\,\mathrm{Softmax}(q k^T / \sqrt d + b)\,v`.

    Args:
        channels: Token width C.
        num_heads: Number of heads, each of width d = C / ``num_heads``.
        cross: Attend to tokens of the other modality, which get a LayerNorm of their own.
    """

    def __init__(self, channels: int, num_heads: int, cross: bool = False) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.out_proj = nn.Linear(channels, channels)
        self.query_norm = nn.LayerNorm(channels)
        self.memory_norm = nn.LayerNorm(channels) if cross else None
        self.num_heads = num_heads
        # The initialisation of nn.MultiheadAttention, whose q, k and v are one (3 C, C) matrix.
        for proj in (self.q_proj, self.k_proj, self.v_proj):
            nn.init.xavier_uniform_(proj.weight, gain=2**-0.5)
            nn.init.zeros_(proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, tokens: Tensor, memory: Tensor | None = None,
                mask: Tensor | None = None, pos: Tensor | None = None,
                memory_pos: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """Return the updated tokens (B, P, C).

        Args:
            tokens: (B, P, C), the queries.
            memory: (B, Q, C), the keys and values; ``None``: the tokens themselves.
            mask: (B, Q) bool, True where the memory has a token; ``None``: everywhere.
            pos: (B, P, C) position codes, added to the queries; ``None``: none.
            memory_pos: (B, Q, C) position codes, added to the keys; ``None``: none.
            bias: (B, heads, P, Q), added to the logits; ``None``: none.
        """
        query = self.query_norm(tokens)
        value = query if memory is None else (self.memory_norm or self.query_norm)(memory)
        key = value if memory_pos is None else value + memory_pos
        query = query if pos is None else query + pos
        q = self._split(self.q_proj(query))  # (B, heads, P, d)
        k, v = self._split(self.k_proj(key)), self._split(self.v_proj(value))  # (B, heads, Q, d)
        attended = F.scaled_dot_product_attention(q, k, v, _logit_bias(q, mask, bias))
        return tokens + self.out_proj(attended.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two-layer perceptron on each token.

    Args:
        channels: Token width.
        hidden_channels: Width of the hidden layer.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden_channels), nn.GELU(), nn.Linear(hidden_channels, channels))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the updated tokens (B, P, C)."""
        return tokens + self.mlp(self.norm(tokens))


def _logit_bias(query: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor | None:
    """Return the bias of the logits, broadcast to (B, 1 or heads, P, Q), in the type of q."""
    if mask is None:
        return None if bias is None else bias.to(query.dtype)
    masked = torch.zeros(mask.shape, device=query.device, dtype=query.dtype)
    masked = masked.masked_fill(~mask, MASKED_LOGIT)[:, None, None]
    return masked.expand(-1, -1, query.shape[2], -1) if bias is None else (
        masked + bias.to(query.dtype))


def sinusoidal_encoding(position: Tensor, channels: int, wavelength: tuple[float, float]) -> Tensor:
    """Encode each coordinate by sines and cosines of geometrically spaced wavelengths.

    Args:
        position: (..., D) coordinates.
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
    return F.pad(code, (0, channels - code.shape[-1]))


def point_pos_encoding(points: Tensor, channels: int) -> Tensor:
    """Encode points by Cartesian coordinates, range and azimuth.

    A random yaw changes x and y of every point and the products of their codes. Range stays (a
    pixel's row fixes the range of the road there), and the product of two azimuth codes depends
    on the angle between the points alone.

    Args:
        points: (..., 3), metres, relative to the centre of their scan.
        channels: Channels: half for x, y, z, a quarter each for range and azimuth.

    Returns:
        (..., channels).
    """
    quarter = channels // 4
    distance = points[..., :2].norm(dim=-1, keepdim=True)
    azimuth = torch.atan2(points[..., 1], points[..., 0])
    code = circular_harmonics(azimuth, quarter // 2)
    return torch.cat((
        sinusoidal_encoding(points, channels - 2 * quarter, POINT_WAVELENGTH),
        sinusoidal_encoding(distance, quarter, POINT_WAVELENGTH),
        F.pad(code, (0, quarter % 2))), -1)


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
        height: Number of rows H.
        azimuth: (V, W, 2 K) codes of the azimuths of the columns in the scan's frame; zeros if
            unknown.
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
    azimuth = F.pad(azimuth, (0, quarter - azimuth.shape[-1]))
    return torch.cat((cells.expand(num_views, -1, -1), azimuth.repeat(1, height, 1)), -1)


def cell_indices(height: int, width: int, like: Tensor) -> Tensor:
    """Return the columns and rows (H * W, 2) of the cells of a map."""
    v, u = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype), indexing='ij')
    return torch.stack((u, v), -1).view(-1, 2)
