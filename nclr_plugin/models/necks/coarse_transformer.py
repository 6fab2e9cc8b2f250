"""Self- and cross-attention between superpoints and superpixels (CrossI2P, Eq. 9-12)."""
from __future__ import annotations


import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers.attention import AttentionBlock, FeedForward, cell_indices, sinusoidal_encoding

NUM_DISTANCE_CHANNELS = 16
POINT_WAVELENGTH = (4., 400.)  # metres
PIXEL_WAVELENGTH = (4., 200.)  # superpixels


class CoarseLayer(nn.Module):
    r"""Self-attention of each modality, then cross-attention both ways, each with a feed-forward.

    In self-attention q, k and v are of the same tokens (Eq. 10). In cross-attention k **and v** are
    of the other modality: Eq. 11 prints :math:`v_{\tilde P}` beside :math:`k_{\tilde I}`, whose
    product exists for equally many superpoints and superpixels only, and carries nothing across.

    Args:
        channels: Token width.
        num_heads: Attention heads; C of Eq. 9 is the width of one.
        ffn_channels: Hidden width of the feed-forward networks.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int) -> None:
        super().__init__()
        self.point_self, self.pixel_self, self.point_cross, self.pixel_cross = (
            AttentionBlock(channels, num_heads, cross) for cross in (False, False, True, True))
        self.point_self_ffn, self.pixel_self_ffn, self.point_cross_ffn, self.pixel_cross_ffn = (
            FeedForward(channels, ffn_channels) for _ in range(4))
        self.point_bias, self.pixel_bias = (
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
                superpixels: Tensor, view_batch_index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the updated features, in the inputs' shapes.

        Args:
            superpoints: (B, G, C).
            centres: (B, G, 3), metres.
            point_mask: (B, G) bool.
            superpixels: (V, C, h, w).
            view_batch_index: (V,) the scan of each view.
        """
        num_views, _, height, width = superpixels.shape
        pixels = superpixels.flatten(2).transpose(1, 2)
        view_idx, view_mask = _views_of_scans(view_batch_index, len(superpoints))
        cell_mask = view_mask.repeat_interleave(height * width, 1)
        distance = _distance_code(centres).to(superpoints)
        offset = _offset_code(height, width, centres).to(pixels)
        for layer in self.layers:
            bias = layer.point_bias(distance).permute(0, 3, 1, 2)
            superpoints = layer.point_self(superpoints, mask=point_mask, bias=bias)
            superpoints = layer.point_self_ffn(superpoints)
            bias = layer.pixel_bias(offset).permute(2, 0, 1)[None]
            pixels = layer.pixel_self_ffn(layer.pixel_self(pixels, bias=bias))
            # Superpoints of a scan without views attend to any view: the result is not used.
            fused = layer.point_cross(superpoints, pixels[view_idx].flatten(1, 2), cell_mask)
            pixels = layer.pixel_cross(
                pixels, superpoints[view_batch_index], point_mask[view_batch_index])
            superpoints = layer.point_cross_ffn(fused)
            pixels = layer.pixel_cross_ffn(pixels)
        pixels = self.pixel_out(pixels).transpose(1, 2)
        return self.point_out(superpoints), pixels.reshape(num_views, -1, height, width)


def _views_of_scans(view_batch_index: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """Return the views (B, W) of each scan, any where it has fewer than W, and their mask."""
    scans = torch.arange(batch_size, device=view_batch_index.device)
    same_scan = view_batch_index[None] == scans[:, None]
    count = max(int(same_scan.sum(1).max()), 1)
    mask, idx = same_scan.int().topk(count, 1)
    return idx, mask > 0


def _distance_code(centres: Tensor) -> Tensor:
    """Encode the distances between centres (B, G, 3): (B, G, G, 16)."""
    with torch.autocast(centres.device.type, enabled=False):
        distance = torch.cdist(centres.float(), centres.float())
    return sinusoidal_encoding(distance[..., None], NUM_DISTANCE_CHANNELS, POINT_WAVELENGTH)


def _offset_code(height: int, width: int, like: Tensor) -> Tensor:
    """Encode the offsets between cells in columns and rows: (h w, h w, 16)."""
    cells = cell_indices(height, width, like)
    return sinusoidal_encoding(cells[:, None] - cells, NUM_DISTANCE_CHANNELS, PIXEL_WAVELENGTH)
