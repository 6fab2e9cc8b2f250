"""Superpixels: cells of a coarse map, fused from all levels of the image pyramid."""
from __future__ import annotations

from typing import List, Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.geometry.camera import CellGrid


@MODELS.register_module()
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
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.projections = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in in_channels)
        self.level_logits = nn.Parameter(torch.zeros(len(in_channels)))
        self.norm = nn.GroupNorm(1, out_channels)

    def forward(self, maps: List[Tensor], grid: CellGrid) -> Tensor:
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
