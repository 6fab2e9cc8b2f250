"""Contrastive heads: of CrossI2P (Eq. 1-7), and of NCLR features without positions."""
from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.se3 import matmul_exact, yaw_rotation
from ..layers.batching import gather_columns
from ..losses.contrastive_loss import (PixelTargets, instance_loss, pixel_to_point_loss,
                                       point_to_pixel_loss, printed_cross_modal_loss)


class Instances(NamedTuple):
    """N instances of each of V views, which contrastive learning distinguishes.

    Attributes:
        view1, view2: (V, N, C_P) point features under two geometric transformations.
        image: (V, N, C_I) image features of the same instances.
        valid: (V, N) bool, instances of the scan; the rest is padding.
        visible: (V, N) bool, instances in the image.
        too_close: (V, N, N) bool, pairs too close in space to be negatives.
        same_pixel: (V, N, N) bool, pairs with the same image feature.
    """
    view1: Tensor
    view2: Tensor
    image: Tensor
    valid: Tensor
    visible: Tensor
    too_close: Tensor
    same_pixel: Tensor


class Augmentation(NamedTuple):
    """Second geometric transformation of Eq. 1; the first is the scan's random rigid transform.

    Attributes:
        scale: Maximum logarithm of the scale. The yaw is uniform over all angles.
        jitter: Standard deviation of the Gaussian noise on the coordinates, metres.
    """
    scale: float = 0.2
    jitter: float = 0.02

    @torch.no_grad()
    def __call__(self, points: Tensor, batch_index: Tensor) -> Tensor:
        """Transform the points (N, 3), metres, of each scan by a yaw and a scale of its own."""
        batch_size = int(batch_index.max()) + 1
        draw = torch.rand(2, batch_size, device=points.device)
        rotation = yaw_rotation(2 * torch.pi * draw[0]) * torch.exp(
            self.scale * (2 * draw[1] - 1))[:, None, None]
        moved = matmul_exact(rotation.to(points)[batch_index], points[..., None])[..., 0]
        return moved + self.jitter * torch.randn_like(moved)


@MODELS.register_module()
class ContrastiveHead(BaseModule):
    r"""Two-layer perceptrons into the invariant space, and the losses there.

    ``loss_imid`` (Eq. 2) makes point features invariant to geometric transformations. ``loss_cmid``
    (Eq. 6) makes their mean over both transformations (the prototype, Eq. 4) agree with the image.

    Args:
        point_channels, pixel_channels: Channels of the features.
        out_channels: Dimension d of the invariant space.
        temperature: Temperature :math:`\tau` of the softmax.
        literal: Use the printed form: an instance is a whole scan and its image, and Eq. 5 has the
            printed denominator. Negatives are then the other pairs of the batch: with one pair a
            step Eq. 2 is zero, and Eq. 6 only attracts. ``False``: instances are the superpoints
            of a pair and the superpixels they project to, and Eq. 5 has the form of Eq. 1.
        imid_weight, cmid_weight: :math:`\lambda_1`, :math:`\lambda_2` of Eq. 7.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 out_channels: int = 256,
                 temperature: float = 0.1,
                 literal: bool = False,
                 imid_weight: float = 1.,
                 cmid_weight: float = 1.,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.point_proj = _projection(point_channels, out_channels)
        self.pixel_proj = _projection(pixel_channels, out_channels)
        self.temperature = temperature
        self.literal = literal
        self.imid_weight = imid_weight
        self.cmid_weight = cmid_weight

    def loss(self, instances: Instances) -> dict[str, Tensor]:
        """Return the weighted ``loss_imid`` and ``loss_cmid``."""
        if self.literal:
            instances = whole_pairs(instances)
        view1, view2 = self.point_proj(instances.view1), self.point_proj(instances.view2)
        image = self.pixel_proj(instances.image)
        prototype = (view1 + view2) / 2  # Eq. 4
        imid = instance_loss(
            view1, view2, self.temperature, instances.valid, instances.too_close)
        cross_modal_loss = printed_cross_modal_loss if self.literal else instance_loss
        cmid = cross_modal_loss(prototype, image, self.temperature, instances.visible,
                                instances.too_close | instances.same_pixel)
        return dict(loss_imid=self.imid_weight * imid, loss_cmid=self.cmid_weight * cmid)


def whole_pairs(instances: Instances) -> Instances:
    """Make each of V pairs one instance: the maximum over its points, the mean over its pixels."""
    def max_pool(feats: Tensor) -> Tensor:
        return feats.masked_fill(~instances.valid[..., None], -1e4).amax(1)[None]

    weight = instances.visible[..., None].float()  # half precision is too coarse for such sums
    image = ((instances.image * weight).sum(1) / weight.sum(1).clamp(min=1))[None]
    view1, view2 = max_pool(instances.view1), max_pool(instances.view2)
    num_views = view1.shape[1]
    every = torch.ones(1, num_views, dtype=torch.bool, device=view1.device)
    no_pair = torch.zeros(1, num_views, num_views, dtype=torch.bool, device=view1.device)
    return Instances(view1, view2, image, every, every, no_pair, no_pair)


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
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.point_proj = _projection(point_channels, embed_dims)
        self.pixel_proj = _projection(pixel_channels, embed_dims)
        self.temperature = temperature

    def forward(self, points: Tensor, pixels: Tensor) -> Tensor:
        """Compare points (V, K, C_P) and maps (V, C_I, H', W'): logits (V, K, H' W'), float32."""
        points = F.normalize(self.point_proj(points).float(), dim=-1)
        pixels = F.normalize(self.pixel_proj(pixels.flatten(2).transpose(1, 2)).float(), dim=-1)
        return matmul_exact(points / self.temperature, pixels.transpose(1, 2))

    def loss(self, points: Tensor, pixels: Tensor, targets: PixelTargets,
             negative_margin: float) -> Tensor:
        """Compute the sum of Eq. 1 both ways; see :meth:`MatchingHead.loss`."""
        logits = self(points, pixels)
        return (point_to_pixel_loss(logits, targets, negative_margin)
                + pixel_to_point_loss(gather_columns(logits, targets.cell), targets,
                                      negative_margin))


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
