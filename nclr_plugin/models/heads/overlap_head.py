"""Which points and which pixels both sensors see (paper, section 3.4, Eq. 3)."""
from __future__ import annotations

from typing import Optional, Tuple

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..ragged import ViewPoints

NUM_BINS = 50
MEMORY = 0.99  # of the running histograms, a step


@MODELS.register_module()
class OverlapHead(BaseModule):
    """Scores of points and pixels: probability of lying in the overlapping area.

    A point is scored once for each view of its scan: its feature is joined with a summary of that
    view's map, so that a rig of several cameras gives several overlap areas.

    Args:
        point_channels, pixel_channels: Channels of the decoded features.
        bearing_channels: Channels of the code of a point's azimuth against the view's direction;
            0: that is not known.
        hidden_channels: Width of the two perceptrons.
        thresholds: Probabilities above which a point and a pixel count as overlapping when matches
            are made. ``None``: those of largest intersection over union in training of late. A
            fixed 0.5 fails a young network, which calls nothing overlapping: one point in eight
            is.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 bearing_channels: int = 0,
                 hidden_channels: int = 64,
                 thresholds: Optional[Tuple[float, float]] = None,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.point_in = nn.Linear(point_channels, hidden_channels)
        self.view_in = nn.Linear(pixel_channels, hidden_channels)
        self.bearing_in = bearing_channels and nn.Linear(bearing_channels, hidden_channels)
        self.point_out = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden_channels, hidden_channels), nn.ReLU(),
            nn.Linear(hidden_channels, 1))
        self.pixel_mlp = nn.Sequential(
            nn.Conv2d(pixel_channels, hidden_channels, 1), nn.ReLU(),
            nn.Conv2d(hidden_channels, hidden_channels, 1), nn.ReLU(),
            nn.Conv2d(hidden_channels, 1, 1))
        self.fixed_thresholds = thresholds
        # Recent scores: points and pixels; outside and inside the overlap; bins of probability.
        self.register_buffer('score_histogram', torch.zeros(2, 2, NUM_BINS))

    def forward(self, point_feats: Tensor, pixel_feats: Tensor, seen: ViewPoints,
                bearing: Optional[Tensor] = None) -> Tuple[Tensor, Tensor]:
        """Logits of both sides.

        Args:
            point_feats: (N, C_P).
            pixel_feats: (V, C_I, H', W').
            seen: The points that each view may see.
            bearing: (V, L, bearing_channels).

        Returns:
            tuple: (V, L) logits of the points, (V, H', W') logits of the pixels.
        """
        view = self.view_in(pixel_feats.mean((2, 3)))
        hidden = self.point_in(point_feats)[seen.voxel] + view[:, None]
        if bearing is not None:
            hidden = hidden + self.bearing_in(bearing.to(hidden))
        return self.point_out(hidden).squeeze(-1), self.pixel_mlp(pixel_feats).squeeze(1)

    @torch.no_grad()
    def observe(self, point_logits: Tensor, point_labels: Tensor, point_mask: Tensor,
                pixel_logits: Tensor, pixel_labels: Tensor) -> None:
        """Take note of the scores of a training step (arguments as in ``overlap_loss``).

        Of several processes, those of all: each has the thresholds that one process with the whole
        batch would have. All have to be here.
        """
        counts = torch.stack([
            _histogram(point_logits, point_labels, point_mask),
            _histogram(pixel_logits, pixel_labels, torch.ones_like(pixel_labels))])
        all_reduce(counts)
        recent = counts / counts.sum((1, 2), keepdim=True).clamp(min=1)
        self.score_histogram.lerp_(recent, 1 - MEMORY)

    @property
    def thresholds(self) -> Tensor:
        """(2,) probabilities for points and pixels."""
        if self.fixed_thresholds is not None:
            return self.score_histogram.new_tensor(self.fixed_thresholds)
        outside, inside = self.score_histogram.flip(-1).cumsum(-1).flip(-1).unbind(1)
        iou = inside / (inside[:, :1] + outside).clamp(min=1e-9)
        untrained = iou.amax(1) == 0
        return torch.where(untrained, 0.5, iou.argmax(1) / NUM_BINS)


def _histogram(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """(2, bins): how many scores of negatives and of positives are in each bin."""
    score = logits.float().sigmoid().nan_to_num()  # the loss tells that it is not finite
    index = (score * NUM_BINS).long().clamp(max=NUM_BINS - 1)
    index = index + NUM_BINS * labels.long()
    counts = torch.zeros(2 * NUM_BINS, device=logits.device)
    counts.index_add_(0, index.flatten(), mask.flatten().float())
    return counts.view(2, NUM_BINS)
