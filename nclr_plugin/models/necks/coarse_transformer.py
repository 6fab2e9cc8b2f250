"""Self- and cross-attention between superpoints and superpixels (CrossI2P, Eq. 9-12)."""
from __future__ import annotations

from typing import Optional, Tuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers.position_encoding import cell_indices, sinusoidal_encoding

NUM_DISTANCE_CHANNELS = 16
POINT_WAVELENGTH = (4., 400.)  # metres
PIXEL_WAVELENGTH = (4., 200.)  # superpixels


class Attention(nn.Module):
    r"""Eq. 9-12 with heads: :math:`\mathrm{Softmax}(q k^T / \sqrt C + b) v`, residual, then FFN.

    In self-attention q, k and v are of the same tokens (Eq. 10). In cross-attention k **and v** are
    of the other modality: Eq. 11 prints :math:`v_{\tilde P}` beside :math:`k_{\tilde I}`, whose
    product exists for equally many superpoints and superpixels only, and carries nothing across.

    Args:
        channels: Token width.
        num_heads: Attention heads; C in the formula is the width of one.
        ffn_channels: Hidden width of the feed-forward network.
        cross: Whether the memory is of the other modality, and normalised by itself.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int, cross: bool) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.query_norm = nn.LayerNorm(channels)
        self.memory_norm = nn.LayerNorm(channels) if cross else None
        self.ffn = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, ffn_channels), nn.GELU(),
            nn.Linear(ffn_channels, channels))
        self.num_heads = num_heads

    def forward(self, tokens: Tensor, memory: Tensor, memory_mask: Tensor,
                bias: Optional[Tensor] = None) -> Tensor:
        """Enhanced tokens.

        Args:
            tokens: (B, P, C).
            memory: (B, Q, C); not looked at in self-attention.
            memory_mask: (B, Q) bool, True where there is a token.
            bias: (B, heads, P, Q) of the relative positions, added to the logits.
        """
        queries = self.query_norm(tokens)
        memory = queries if self.memory_norm is None else self.memory_norm(memory)
        q, k, v = (self._split(layer(x)) for layer, x in (
            (self.query, queries), (self.key, memory), (self.value, memory)))
        mask = torch.zeros(memory_mask.shape, device=q.device, dtype=q.dtype)
        mask = mask.masked_fill(~memory_mask, -1e4)[:, None, None]
        mask = mask if bias is None else mask + bias.to(q.dtype)
        attended = nn.functional.scaled_dot_product_attention(
            q, k, v, mask.expand(-1, -1, q.shape[2], -1))
        tokens = tokens + self.out(attended.transpose(1, 2).flatten(2))
        return tokens + self.ffn(tokens)

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class CoarseLayer(nn.Module):
    """Self-attention of each modality, then cross-attention both ways, with weights of its own.

    Args:
        channels, num_heads, ffn_channels: See :class:`Attention`.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int) -> None:
        super().__init__()
        self.point_self, self.pixel_self, self.point_cross, self.pixel_cross = (
            Attention(channels, num_heads, ffn_channels, cross)
            for cross in (False, False, True, True))
        self.point_position, self.pixel_position = (
            nn.Sequential(nn.Linear(NUM_DISTANCE_CHANNELS, NUM_DISTANCE_CHANNELS), nn.ReLU(),
                          nn.Linear(NUM_DISTANCE_CHANNELS, num_heads)) for _ in range(2))


@MODELS.register_module()
class CoarseTransformer(BaseModule):
    """Context within and across the modalities, at the level of superpoints and superpixels.

    Relative positions enter self-attention as a bias from a small perceptron: of superpoints the
    distance, which no rigid transform changes, of superpixels the offset in columns and rows.
    Superpixels attend to those of their own view, superpoints to those of all views of their scan.

    Args:
        channels: Token width.
        num_heads, num_layers, ffn_channels: Transformer settings.
    """

    def __init__(self,
                 channels: int = 256,
                 num_heads: int = 4,
                 num_layers: int = 3,
                 ffn_channels: int = 512,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.layers = nn.ModuleList(
            CoarseLayer(channels, num_heads, ffn_channels) for _ in range(num_layers))
        self.point_out = nn.LayerNorm(channels)
        self.pixel_out = nn.LayerNorm(channels)

    def forward(self, superpoints: Tensor, centres: Tensor, point_mask: Tensor,
                superpixels: Tensor, view_batch_index: Tensor) -> Tuple[Tensor, Tensor]:
        """Enhanced features of the inputs' shapes.

        Args:
            superpoints: (B, G, C).
            centres: (B, G, 3), metres.
            point_mask: (B, G) bool.
            superpixels: (V, C, h, w).
            view_batch_index: (V,) the scan of each view.
        """
        num_views, _, height, width = superpixels.shape
        pixels = superpixels.flatten(2).transpose(1, 2)
        slot, there = _views_of_scans(view_batch_index, len(superpoints))
        # A scan without a view has nobody to ask, and must not become NaN: it asks a zero.
        there_cells = there.repeat_interleave(height * width, 1)
        pixel_mask = torch.ones(pixels.shape[:2], dtype=torch.bool, device=pixels.device)
        distance = _distance_code(centres)
        offset = _offset_code(height, width, centres)
        for layer in self.layers:
            bias = layer.point_position(distance.to(superpoints)).permute(0, 3, 1, 2)
            superpoints = layer.point_self(superpoints, superpoints, point_mask, bias)
            bias = layer.pixel_position(offset.to(pixels)).permute(2, 0, 1)[None]
            pixels = layer.pixel_self(pixels, pixels, pixel_mask, bias)
            of_scan = pixels[slot].flatten(1, 2)
            asked = layer.point_cross(superpoints, of_scan, there_cells)
            pixels = layer.pixel_cross(pixels, superpoints[view_batch_index],
                                       point_mask[view_batch_index])
            superpoints = asked
        pixels = self.pixel_out(pixels).transpose(1, 2)
        return self.point_out(superpoints), pixels.reshape(num_views, -1, height, width)


def _views_of_scans(view_batch_index: Tensor, batch_size: int) -> Tuple[Tensor, Tensor]:
    """(B, W) the views of each scan (0 where there are fewer than W), and (B, W) bool."""
    scans = torch.arange(batch_size, device=view_batch_index.device)
    own = view_batch_index[None] == scans[:, None]
    count = max(int(own.sum(1).max()), 1)
    there, slot = own.int().topk(count, 1)
    return slot, there > 0


def _distance_code(centres: Tensor) -> Tensor:
    """(B, G, 3) -> (B, G, G, 16) code of the distances."""
    with torch.autocast(centres.device.type, enabled=False):
        distance = torch.cdist(centres.float(), centres.float())
    return sinusoidal_encoding(distance[..., None], NUM_DISTANCE_CHANNELS, POINT_WAVELENGTH)


def _offset_code(height: int, width: int, like: Tensor) -> Tensor:
    """(h w, h w, 16) code of the offsets in columns and rows."""
    cells = cell_indices(height, width, like)
    return sinusoidal_encoding(cells[:, None] - cells, NUM_DISTANCE_CHANNELS, PIXEL_WAVELENGTH)
