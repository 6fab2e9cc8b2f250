"""Binary cross-entropy of the overlap scores (paper, Eq. 3)."""
from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def overlap_loss(point_logits: Tensor, point_labels: Tensor, point_mask: Tensor,
                 pixel_logits: Tensor, pixel_labels: Tensor) -> Tensor:
    """Eq. 3, each view's mean over its points plus its mean over its pixels, mean over views.

    Args:
        point_logits, point_labels, point_mask: (V, L); labels and mask are bool.
        pixel_logits, pixel_labels: (V, H', W').
    """
    points = F.binary_cross_entropy_with_logits(
        point_logits.float(), point_labels.float(), reduction='none')
    points = (points * point_mask).sum(1) / point_mask.sum(1).clamp(min=1)
    pixels = F.binary_cross_entropy_with_logits(
        pixel_logits.float(), pixel_labels.float(), reduction='none').mean((1, 2))
    return (points + pixels).mean()
