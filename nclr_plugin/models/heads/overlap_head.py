"""Which points and which pixels both sensors see (paper, section 3.4, Eq. 3)."""
from __future__ import annotations

from typing import Tuple

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..ragged import ViewPoints


@MODELS.register_module()
class OverlapHead(BaseModule):
    """Scores of points and pixels: probability of lying in the overlapping area.

    A point is scored once for each view of its scan: its feature is joined with a summary of that
    view's map, so that a rig of several cameras gives several overlap areas.

    Args:
        point_channels, pixel_channels: Channels of the decoded features.
        hidden_channels: Width of the two perceptrons.
        point_threshold, pixel_threshold: Probabilities above which a point or pixel counts as
            overlapping when matches are made.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 hidden_channels: int = 64,
                 point_threshold: float = 0.5,
                 pixel_threshold: float = 0.5,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.point_in = nn.Linear(point_channels, hidden_channels)
        self.view_in = nn.Linear(pixel_channels, hidden_channels)
        self.point_out = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden_channels, hidden_channels), nn.ReLU(),
            nn.Linear(hidden_channels, 1))
        self.pixel_mlp = nn.Sequential(
            nn.Conv2d(pixel_channels, hidden_channels, 1), nn.ReLU(),
            nn.Conv2d(hidden_channels, hidden_channels, 1), nn.ReLU(),
            nn.Conv2d(hidden_channels, 1, 1))
        self.point_threshold = point_threshold
        self.pixel_threshold = pixel_threshold

    def forward(self, point_feats: Tensor, pixel_feats: Tensor,
                seen: ViewPoints) -> Tuple[Tensor, Tensor]:
        """Logits of both sides.

        Args:
            point_feats: (N, C_P).
            pixel_feats: (V, C_I, H', W').
            seen: The points that each view may see.

        Returns:
            tuple: (V, L) logits of the points, (V, H', W') logits of the pixels.
        """
        view = self.view_in(pixel_feats.mean((2, 3)))
        hidden = self.point_in(point_feats)[seen.voxel] + view[:, None]
        return self.point_out(hidden).squeeze(-1), self.pixel_mlp(pixel_feats).squeeze(1)
