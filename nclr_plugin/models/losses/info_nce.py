"""InfoNCE between points and pixels, both directions (paper, Eq. 1)."""
from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor


def point_to_pixel_loss(logits: Tensor, positive: Tensor, distance: Tensor, valid: Tensor,
                        negative_margin: float) -> Tensor:
    r"""Eq. 1: each point against every pixel of the map.

    Pixels nearer than :math:`r_n` to the point's projection, the positive apart, are neither
    positive nor negative.

    Args:
        logits: (V, K, L), similarity over temperature.
        positive: (V, K) index of the pixel pr(i).
        distance: (V, K, L), from the projection of each point to each pixel.
        valid: (V, K) bool, points to use.
        negative_margin: :math:`r_n`, in the unit of ``distance``.

    Returns:
        Tensor: scalar; the mean over the valid points of a view, then over views. A view with no
        valid point adds nothing.
    """
    ignored = distance <= negative_margin
    ignored = ignored.scatter(-1, positive[..., None], False)
    return _nce(logits, positive, ignored, valid)


def pixel_to_point_loss(logits: Tensor, distance: Tensor, valid: Tensor, negative_margin: float,
                        outside: Optional[Tensor] = None) -> Tensor:
    r"""Eq. 1 from the image: pixel pr(i) against the sampled points.

    Args:
        logits: (V, K, K), pixel pr(i) in rows, point j in columns; the diagonal is positive.
        distance: (V, K, K), from the projection of point j to pixel pr(i).
        valid: (V, K) bool, points to use.
        negative_margin: :math:`r_n`: nearer points, other points of the same or a neighbouring
            pixel among them, are not negatives.
        outside: (V, K) bool, points that the camera does not see, which are negatives of every
            pixel; ``None``: there are none.
    """
    positive = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    ignored = (distance <= negative_margin) | ~valid[:, None]
    if outside is not None:
        ignored = ignored & ~outside[:, None]
    ignored = ignored.scatter(-1, positive[..., None], False)
    return _nce(logits, positive, ignored, valid)


def _nce(logits: Tensor, positive: Tensor, ignored: Tensor, valid: Tensor) -> Tensor:
    logits = logits.masked_fill(ignored, float('-inf'))
    positive_logit = logits.gather(-1, positive[..., None]).squeeze(-1)
    loss = torch.logsumexp(logits, -1) - positive_logit
    loss = torch.where(valid, loss, torch.zeros_like(loss))
    return (loss.sum(-1) / valid.sum(-1).clamp(min=1)).mean()
