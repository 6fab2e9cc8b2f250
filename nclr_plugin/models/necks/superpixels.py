"""Superpixels: the cells of a coarse map that all levels of the image pyramid add to."""
from __future__ import annotations

from typing import List, Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.geometry.camera import map_size


@MODELS.register_module()
class SuperpixelPyramid(BaseModule):
    """CrossI2P's image pixel blocks: levels are projected, brought to one stride and weighed.

    The weights of the levels are a learned softmax ("cross-layer weighted fusion"), equal at the
    start. A level finer than the result is averaged over its cells, a coarser one interpolated.

    Args:
        in_channels: Channels of the levels.
        out_channels: Of the superpixels.
        stride: Pixels per superpixel.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, stride: int = 16,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.projections = nn.ModuleList(
            nn.Conv2d(channels, out_channels, 1) for channels in in_channels)
        self.level_logits = nn.Parameter(torch.zeros(len(in_channels)))
        self.norm = nn.GroupNorm(1, out_channels)
        self.stride = stride

    def forward(self, maps: List[Tensor], height: int, width: int) -> Tensor:
        """Maps (V, C_l, H_l, W_l) of an image of height x width -> (V, out_channels, h, w)."""
        size = map_size(height, width, self.stride)
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
