"""Bidirectional transformer between bottleneck voxels and image cells (paper, section 3.2)."""
from __future__ import annotations

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers.attention import AttentionBlock, FeedForward, pixel_pos_encoding, point_pos_encoding
from ..layers.batching import DenseBatch, dense_batch, slots_by_position

PIXEL_WAVELENGTH = (2., 100.)  # cells


class FusionLayer(nn.Module):
    """Self-attention of each modality, cross-attention both ways, feed-forward.

    Args:
        channels: Token width.
        num_heads: Attention heads.
        ffn_channels: Hidden width of the feed-forward networks.
    """

    def __init__(self, channels: int, num_heads: int, ffn_channels: int) -> None:
        super().__init__()
        self.point_self = AttentionBlock(channels, num_heads)
        self.pixel_self = AttentionBlock(channels, num_heads)
        self.point_cross = AttentionBlock(channels, num_heads, cross=True)
        self.pixel_cross = AttentionBlock(channels, num_heads, cross=True)
        self.point_ffn = FeedForward(channels, ffn_channels)
        self.pixel_ffn = FeedForward(channels, ffn_channels)

    def forward(self, points: Tensor, pixels: Tensor, point_pos: Tensor, pixel_pos: Tensor,
                key_idx: Tensor, key_mask: Tensor | None,
                pixel_mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the updated tokens of both modalities.

        Args:
            points: (B, P, E) tokens of voxels.
            pixels: (B, Q, E) tokens of image cells.
            point_pos: (B, P, E) position codes of the voxels.
            pixel_pos: (B, Q, E) position codes of the cells.
            key_idx: (B, S) the sampled keypoints: voxels that attend to each other, and to which
                pixels attend.
            key_mask: (B, S) bool, True where ``key_idx`` is a voxel; ``None``: everywhere.
            pixel_mask: (B, Q) bool, True where ``pixels`` is a cell; ``None``: everywhere.
        """
        key_idx = key_idx[..., None]
        key_pos = point_pos.take_along_dim(key_idx, 1)
        keys = self.point_self(points.take_along_dim(key_idx, 1), None, key_mask, key_pos, key_pos)
        points = points.scatter(1, key_idx.expand_as(keys), keys)
        pixels = self.pixel_self(pixels, None, pixel_mask, pixel_pos, pixel_pos)
        # Keys from before cross-attention: both directions see the same layer.
        points = self.point_cross(points, pixels, pixel_mask, point_pos, pixel_pos)
        pixels = self.pixel_cross(pixels, keys, key_mask, pixel_pos, key_pos)
        return self.point_ffn(points), self.pixel_ffn(pixels)


@MODELS.register_module()
class CrossModalFusion(BaseModule):
    """Fuse the outputs of both encoders by attention within and across the modalities.

    An evenly strided sample of at most ``num_keypoints`` bottleneck voxels (the paper's sampled
    keypoints) attend to each other, and the image cells to them, which bounds the cost on dense
    scans. They are sampled in the order of their positions, because the order of rows differs
    between runs on a GPU. All voxels attend to the cells of all views of their scan: a rig of six
    cameras is fused in one pass.

    Args:
        point_channels: Channels of the voxel features.
        pixel_channels: Channels of the image features.
        embed_dims: Token width (C_E).
        num_heads: Attention heads.
        num_layers: Number of fusion layers.
        ffn_channels: Hidden width of the feed-forward networks.
        num_keypoints: Largest number of voxels of a scan that are attended to.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 embed_dims: int = 128,
                 num_heads: int = 4,
                 num_layers: int = 2,
                 ffn_channels: int = 256,
                 num_keypoints: int = 1024,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.point_in = nn.Linear(point_channels, embed_dims)
        self.pixel_in = nn.Linear(pixel_channels, embed_dims)
        self.point_out = nn.Sequential(
            nn.LayerNorm(embed_dims), nn.Linear(embed_dims, point_channels))
        self.pixel_out = nn.Sequential(
            nn.LayerNorm(embed_dims), nn.Linear(embed_dims, pixel_channels))
        self.layers = nn.ModuleList(
            FusionLayer(embed_dims, num_heads, ffn_channels) for _ in range(num_layers))
        self.embed_dims = embed_dims
        self.num_keypoints = num_keypoints

    def forward(self, point_feats: Tensor, points: Tensor, point_batch_index: Tensor,
                pixel_feats: Tensor, azimuth: Tensor, view_batch_index: Tensor,
                batch_size: int) -> tuple[Tensor, Tensor]:
        """Fuse features; the results have the shapes of the inputs.

        Args:
            point_feats: (N_E, C_P), bottleneck voxels in any order.
            points: (N_E, 3), metres: their centres, relative to the centre of their scan.
            point_batch_index: (N_E,) scan of each voxel.
            pixel_feats: (V, C_I, H_E, W_E), the last map of the image encoder.
            azimuth: (V, W_E, 2 K), codes of the azimuth of the map's columns.
            view_batch_index: (V,) scan of each view.
            batch_size: Number of scans.
        """
        num_views, _, height, width = pixel_feats.shape
        cells = pixel_feats.flatten(2).transpose(1, 2).reshape(num_views * height * width, -1)
        cell_scan = torch.repeat_interleave(view_batch_index, height * width)
        point_padding = dense_batch(point_batch_index, batch_size)
        pixel_padding = dense_batch(cell_scan, batch_size)

        point_pos = point_pos_encoding(points, self.embed_dims)
        cell_pos = pixel_pos_encoding(height, azimuth, self.embed_dims, PIXEL_WAVELENGTH)
        tokens = point_padding.to_dense(self.point_in(point_feats))
        pixels = pixel_padding.to_dense(self.pixel_in(cells))
        point_pos = point_padding.to_dense(point_pos.to(tokens.dtype))
        pixel_pos = pixel_padding.to_dense(cell_pos.to(pixels.dtype).flatten(0, 1))
        # Queries and keys get their positions in every layer. The tokens carry them too, so that
        # the values contain them: the column of the pixel, the azimuth of the point.
        tokens, pixels = tokens + point_pos, pixels + pixel_pos
        key_idx, key_mask = self._sample_keypoints(point_padding, points)
        pixel_mask = pixel_padding.mask
        if batch_size == 1:  # nothing is padded, and without a mask attention is one fused kernel
            key_mask = pixel_mask = None

        for layer in self.layers:
            tokens, pixels = layer(tokens, pixels, point_pos, pixel_pos, key_idx, key_mask,
                                   pixel_mask)

        point_feats = point_feats + self.point_out(point_padding.from_dense(tokens))
        cells = self.pixel_out(pixel_padding.from_dense(pixels))
        cells = cells.view(num_views, height * width, -1).transpose(1, 2)
        return point_feats, pixel_feats + cells.reshape(pixel_feats.shape)

    def _sample_keypoints(self, padding: DenseBatch, points: Tensor) -> tuple[Tensor, Tensor]:
        """Voxels at (N_E, 3) -> slots (B, S) spread evenly over each scan's voxels, mask."""
        counts = padding.mask.sum(1, keepdim=True)
        size = min(self.num_keypoints, padding.mask.shape[1])
        index = torch.arange(size, device=points.device).expand(len(counts), -1)
        spread = torch.div(index * counts, size, rounding_mode='floor')
        spread = slots_by_position(padding, points).gather(1, spread)
        return torch.where(counts > size, spread, index), index < counts
