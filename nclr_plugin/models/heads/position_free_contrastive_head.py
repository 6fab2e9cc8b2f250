"""Contrastive learning without positions (beside the paper's Eq. 1)."""
from __future__ import annotations

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.se3 import matmul_exact


@MODELS.register_module()
class PositionFreeContrastiveHead(BaseModule):
    """Compare features that were decoded without fusion and without positions.

    Once fusion knows the yaw, the position of a point gives away its pixel, and Eq. 1 can be solved
    without looking at the surface. A downstream network has neither fusion nor camera. This head
    compares what the downstream network computes, so only appearance can match.

    Args:
        point_channels: Channels of the decoded point features.
        pixel_channels: Channels of the decoded image features.
        embed_dims: Channels in which both are compared, by cosine.
        temperature: Temperature of the softmax.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 embed_dims: int = 64,
                 temperature: float = 0.07,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.point_proj = _projection(point_channels, embed_dims)
        self.pixel_proj = _projection(pixel_channels, embed_dims)
        self.temperature = temperature

    def forward(self, points: Tensor, pixels: Tensor) -> Tensor:
        """Compare points (V, K, C_P) and maps (V, C_I, H', W'): logits (V, K, H' W'), float32."""
        points = F.normalize(self.point_proj(points).float(), dim=-1)
        pixels = F.normalize(self.pixel_proj(pixels.flatten(2).transpose(1, 2)).float(), dim=-1)
        return matmul_exact(points / self.temperature, pixels.transpose(1, 2))


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
