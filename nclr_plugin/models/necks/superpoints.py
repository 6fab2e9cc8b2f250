"""Superpoints of a scan, superpixels of an image, attention between them (CrossI2P, Eq. 8-12)."""
from __future__ import annotations

import logging
from functools import lru_cache
from typing import Callable, NamedTuple, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...geometry.camera import CellGrid
from ...utils import devices
from ..layers.attention import AttentionBlock, FeedForward, cell_indices, sinusoidal_encoding
from ..layers.batching import dense_batch, slots_by_position

NUM_DISTANCE_CHANNELS = 16
DISTANCE_WAVELENGTH = (4., 400.)  # metres
PIXEL_WAVELENGTH = (4., 200.)  # superpixels


class Superpoints(NamedTuple):
    """Groups of the points of B scans, G per scan.

    Attributes:
        centre: (B, G) rows of the points that are centres.
        mask: (B, G) bool, False where a scan has fewer points than groups.
        member: (B, G, K) rows of the points nearer to the centre than the radius, nearest first.
        member_mask: (B, G, K) bool; the centre is always a member.
        owner: (N,) the nearest group of each point, as ``scan * G + group``.
    """
    centre: Tensor
    mask: Tensor
    member: Tensor
    member_mask: Tensor
    owner: Tensor


@torch.no_grad()
def group_superpoints(points: Tensor, batch_index: Tensor, batch_size: int, num_groups: int,
                      radius: float, group_size: int) -> Superpoints:
    r"""Apply Eq. 8: :math:`\tilde P = \{p \in P : \|p - \tilde p_i\| < r\}` around farthest points.

    Args:
        points: (N, 3), metres, in any order.
        batch_index: (N,) the scan of each.
        batch_size: B.
        num_groups: G, centres of a scan, chosen by farthest point sampling.
        radius: r, metres.
        group_size: K, largest number of members of a group: the nearest ones.
    """
    padding = dense_batch(batch_index, batch_size)
    rows = padding.to_dense(torch.arange(len(points), device=points.device))
    padded = padding.to_dense(points)
    centre_slot = farthest_points(padded, padding.mask, min(num_groups, padded.shape[1]),
                                  slots_by_position(padding, points)[:, 0])
    mask = torch.arange(centre_slot.shape[1], device=rows.device) < padding.mask.sum(1)[:, None]
    centres = padded.take_along_dim(centre_slot[..., None], 1)

    # By differences: from products, distances are off by centimetres, and so are their ranks.
    distance = torch.cdist(centres, padded, compute_mode='donot_use_mm_for_euclid_dist')
    distance = distance.masked_fill(~padding.mask[:, None], float('inf'))
    # The centre itself, at a distance that rounding may make positive, comes first.
    distance = distance.scatter(2, centre_slot[..., None], -1.)
    near, slot = distance.topk(min(group_size, padded.shape[1]), largest=False)
    member = rows.gather(1, slot.flatten(1)).view_as(slot)
    owner = distance.masked_fill(~mask[..., None], float('inf')).argmin(1)
    owner = owner + torch.arange(batch_size, device=rows.device)[:, None] * centre_slot.shape[1]
    return Superpoints(rows.gather(1, centre_slot), mask, member,
                       (near < radius) & mask[..., None], padding.from_dense(owner))


@torch.no_grad()
def farthest_points(points: Tensor, mask: Tensor, count: int, first: Tensor) -> Tensor:
    """Choose points of each scan by farthest point sampling.

    Args:
        points: (B, L, 3).
        mask: (B, L) bool, True for points, which come first in each row.
        count: Number of points to choose of each row; one with fewer repeats its first.
        first: (B,) columns to start from.

    Returns:
        (B, count) columns.
    """
    sample = None if devices.on_host(points) else _gpu_sampling(points.device)
    columns = sample(points, mask, count, first) if sample else _sample(points, mask, count, first)
    in_scan = torch.arange(count, device=points.device) < mask.sum(1)[:, None]
    return torch.where(in_scan, columns, first[:, None])


def _sample(points: Tensor, mask: Tensor, count: int, first: Tensor) -> Tensor:
    points = points.transpose(1, 2).contiguous()
    nearest = torch.where(mask, torch.inf, -1.)
    columns = [first]
    for _ in range(count - 1):
        last = points.gather(2, columns[-1][:, None, None].expand(-1, 3, -1))
        nearest = torch.minimum(nearest, (points - last).square_().sum(1))
        columns.append(nearest.argmax(1))
    return torch.stack(columns, 1)


@lru_cache(None)
def _gpu_sampling(device: torch.device) -> Callable | None:
    """Return :func:`_sample` by mmcv's operator, one kernel; ``None`` where it is not compiled."""
    try:
        from mmcv.ops import furthest_point_sample
        furthest_point_sample(torch.zeros(1, 1, 3, device=device), 1)
    except (ImportError, RuntimeError):  # mmcv-lite, without its operators
        print_log('Superpoints: farthest points take thousands of small kernels a step, because '
                  'this mmcv has no compiled operators; run `bash tools/setup_env.sh --ops`.',
                  logger='current', level=logging.WARNING)
        return None

    def sample(points: Tensor, mask: Tensor, count: int, first: Tensor) -> Tensor:
        # It starts at column 0: swap that with the first. Copies of the first are chosen last.
        start = points.gather(1, first[:, None, None].expand(-1, 1, 3))
        points = torch.where(mask[..., None], points, start).float()
        points = points.scatter(1, first[:, None, None].expand(-1, 1, 3), points[:, :1])
        points[:, :1] = start
        columns = furthest_point_sample(points.contiguous(), count).long()
        return torch.where(columns == 0, first[:, None],
                           torch.where(columns == first[:, None], 0, columns))

    return sample


class SuperpointPooling(BaseModule):
    """Group the points of a scan, and pool one feature from the members of each group.

    Args:
        in_channels: Channels of the points.
        out_channels: Channels of the superpoints.
        num_groups: Superpoints of a scan.
        radius: r of Eq. 8, metres.
        group_size: Largest number of points of a superpoint.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int,
                 num_groups: int = 1280,
                 radius: float = 2.,
                 group_size: int = 32,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.mlp = nn.Sequential(
            nn.Linear(in_channels + 3, out_channels), nn.LayerNorm(out_channels), nn.ReLU(),
            nn.Linear(out_channels, out_channels))
        self.norm = nn.LayerNorm(out_channels)
        self.num_groups = num_groups
        self.radius = radius
        self.group_size = group_size

    def group(self, points: Tensor, batch_index: Tensor, batch_size: int) -> Superpoints:
        """Group points (N, 3), metres, of B scans; see :func:`group_superpoints`."""
        return group_superpoints(
            points, batch_index, batch_size, self.num_groups, self.radius, self.group_size)

    def forward(self, feats: Tensor, points: Tensor, groups: Superpoints) -> Tensor:
        """Pool features: the largest among the members, with their offsets from the centre.

        Args:
            feats: (N, C).
            points: (N, 3), metres.
            groups: Groups of these points.

        Returns:
            (B, G, out_channels), zero where there is no group.
        """
        offset = (points[groups.member] - points[groups.centre][:, :, None]) / self.radius
        rows = self.mlp(torch.cat((feats[groups.member], offset.to(feats)), -1))
        rows = rows.masked_fill(~groups.member_mask[..., None], -1e4)
        pooled = self.norm(rows.amax(2))
        return pooled.masked_fill(~groups.mask[..., None], 0.)


class SuperpixelPyramid(BaseModule):
    """Fuse the levels of an image pyramid into CrossI2P's superpixels (image pixel blocks).

    Levels are projected, brought to one stride and weighted.

    The weights of the levels are a learned softmax ("cross-layer weighted fusion"), equal at the
    start. A level finer than the result is averaged over its cells, a coarser one interpolated.

    Args:
        in_channels: Channels of the levels.
        out_channels: Channels of the superpixels.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.projections = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in in_channels)
        self.level_logits = nn.Parameter(torch.zeros(len(in_channels)))
        self.norm = nn.GroupNorm(1, out_channels)

    def forward(self, maps: list[Tensor], grid: CellGrid) -> Tensor:
        """Fuse maps (V, C_l, H_l, W_l) on the grid of the superpixels: (V, out_channels, h, w)."""
        size = grid.shape
        weights = self.level_logits.softmax(0)
        fused = 0.
        for weight, projection, level in zip(weights, self.projections, maps):
            projected = projection(level)
            if projected.shape[-2] > size[0]:
                projected = nn.functional.adaptive_avg_pool2d(projected, size)
            elif projected.shape[-2:] != size:
                projected = nn.functional.interpolate(
                    projected, size=size, mode='bilinear', align_corners=False)
            fused = fused + weight * projected
        return self.norm(fused)


class CoarseLayer(nn.Module):
    r"""Self-attention of each modality, then cross-attention both ways, each with a feed-forward.

    In self-attention q, k and v come from the same tokens (Eq. 10). In cross-attention k **and v**
    come from the other modality. Eq. 11 prints :math:`v_{\tilde P}` beside :math:`k_{\tilde I}`;
    their product exists only for equally many superpoints and superpixels, and would carry nothing
    across.

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
                 init_cfg: dict | None = None) -> None:
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
        distance = distance_code(centres).to(superpoints)
        offset = offset_code(height, width, centres).to(pixels)
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


def distance_code(centres: Tensor) -> Tensor:
    """Encode the distances between centres (B, G, 3): (B, G, G, 16)."""
    with torch.autocast(centres.device.type, enabled=False):
        distance = torch.cdist(centres.float(), centres.float())
    return sinusoidal_encoding(distance[..., None], NUM_DISTANCE_CHANNELS, DISTANCE_WAVELENGTH)


def offset_code(height: int, width: int, like: Tensor) -> Tensor:
    """Encode the offsets between cells in columns and rows: (h w, h w, 16)."""
    cells = cell_indices(height, width, like)
    return sinusoidal_encoding(cells[:, None] - cells, NUM_DISTANCE_CHANNELS, PIXEL_WAVELENGTH)
