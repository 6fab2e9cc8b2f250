"""Detection of the points and pixels that both sensors see (paper, section 3.4, Eq. 3)."""
from __future__ import annotations

import torch
from mmengine.dist import all_reduce
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...utils.devices import constant
from ..layers.batching import ViewVoxels

NUM_BINS = 50
EMA_MOMENTUM = 0.99  # of the score histograms, per step


@MODELS.register_module()
class OverlapHead(BaseModule):
    """Score points and pixels by the probability of lying in the overlapping area.

    A point is scored once for each view of its scan: its feature is joined with a summary of that
    view's map, so that a rig of several cameras gives several overlap areas.

    Args:
        point_channels: Channels of the decoded point features.
        pixel_channels: Channels of the decoded image features.
        bearing_channels: Channels of the code of a point's azimuth from the view's axis; 0: the
            axis is not known.
        hidden_channels: Width of the two perceptrons.
        thresholds: Probabilities above which a point and a pixel count as overlapping. ``None``:
            the thresholds with the best IoU over recent training steps. A fixed 0.5 fails at the
            start of training, when nothing scores above it: one point in eight overlaps.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 bearing_channels: int = 0,
                 hidden_channels: int = 64,
                 thresholds: tuple[float, float] | None = None,
                 init_cfg: dict | None = None) -> None:
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

    def forward(self, point_feats: Tensor, pixel_feats: Tensor, view_voxels: ViewVoxels,
                bearing: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits of both sides.

        Args:
            point_feats: (N, C_P).
            pixel_feats: (V, C_I, H', W').
            view_voxels: Points of the scan of each view.
            bearing: (V, L, bearing_channels).

        Returns:
            Logits (V, L) of the points and (V, H', W') of the pixels.
        """
        view = self.view_in(pixel_feats.mean((2, 3)))
        hidden = self.point_in(point_feats).index_select(0, view_voxels.idx.flatten())
        hidden = hidden.view(*view_voxels.idx.shape, -1) + view[:, None]
        if bearing is not None:
            hidden = hidden + self.bearing_in(bearing.to(hidden))
        return self.point_out(hidden).squeeze(-1), self.pixel_mlp(pixel_feats).squeeze(1)

    def loss(self, point_logits: Tensor, point_labels: Tensor, point_mask: Tensor,
             pixel_logits: Tensor, pixel_labels: Tensor) -> Tensor:
        """Compute Eq. 3: the mean over points plus that over pixels of each view, mean over views.

        It also updates the thresholds.

        Args:
            point_logits: (V, L).
            point_labels: (V, L) bool, points in the overlapping area.
            point_mask: (V, L) bool, points that exist.
            pixel_logits: (V, H', W').
            pixel_labels: (V, H', W') bool.
        """
        self.update_thresholds(point_logits, point_labels, point_mask, pixel_logits, pixel_labels)
        points = F.binary_cross_entropy_with_logits(
            point_logits.float(), point_labels.float(), reduction='none')
        points = (points * point_mask).sum(1) / point_mask.sum(1).clamp(min=1)
        pixels = F.binary_cross_entropy_with_logits(
            pixel_logits.float(), pixel_labels.float(), reduction='none').mean((1, 2))
        return (points + pixels).mean()

    @torch.no_grad()
    def update_thresholds(self, point_logits: Tensor, point_labels: Tensor, point_mask: Tensor,
                          pixel_logits: Tensor, pixel_labels: Tensor) -> None:
        """Add the scores of a training step to the histograms, see :meth:`loss`.

        The scores of all processes are summed, so that all have the thresholds of the whole batch;
        all processes have to call this.
        """
        counts = torch.stack([
            _histogram(point_logits, point_labels, point_mask),
            _histogram(pixel_logits, pixel_labels, torch.ones_like(pixel_labels))])
        all_reduce(counts)
        recent = counts / counts.sum((1, 2), keepdim=True).clamp(min=1)
        self.score_histogram.lerp_(recent, 1 - EMA_MOMENTUM)

    @property
    def thresholds(self) -> Tensor:
        """Probabilities (2,) for points and pixels."""
        if self.fixed_thresholds is not None:
            return constant(tuple(self.fixed_thresholds), self.score_histogram.dtype,
                            self.score_histogram.device)
        outside, inside = self.score_histogram.flip(-1).cumsum(-1).flip(-1).unbind(1)
        iou = inside / (inside[:, :1] + outside).clamp(min=1e-9)
        untrained = iou.amax(1) == 0
        return torch.where(untrained, 0.5, iou.argmax(1) / NUM_BINS)


def _histogram(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Count the scores of negatives and of positives in each bin, (2, bins)."""
    score = logits.float().sigmoid().nan_to_num()  # non-finite losses are reported elsewhere
    index = (score * NUM_BINS).long().clamp(max=NUM_BINS - 1)
    index = index + NUM_BINS * labels.long()
    counts = torch.zeros(2 * NUM_BINS, device=logits.device)
    counts.index_add_(0, index.flatten(), mask.flatten().float())
    return counts.view(2, NUM_BINS)
