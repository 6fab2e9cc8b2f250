"""Projection heads and the self-supervised contrastive losses (CrossI2P, Eq. 1-7)."""
from __future__ import annotations

from typing import Dict, NamedTuple, Optional

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..losses.contrastive_loss import instance_loss, printed_cross_modal_loss


class Instances(NamedTuple):
    """What is told apart: for each of V views, N instances that both modalities have.

    Attributes:
        first, second: (V, N, C_P) point features under two geometric transformations.
        image: (V, N, C_I) features of the image at the same instances.
        valid: (V, N) bool, instances of the scan.
        visible: (V, N) bool, those that the image shows.
        near: (V, N, N) bool, pairs too near in space to be told apart.
        same_pixel: (V, N, N) bool, pairs whose image features are one and the same.
    """
    first: Tensor
    second: Tensor
    image: Tensor
    valid: Tensor
    visible: Tensor
    near: Tensor
    same_pixel: Tensor


@MODELS.register_module()
class ContrastiveHead(BaseModule):
    r"""Two-layer perceptrons into the invariant space, and the losses there.

    ``loss_imid`` (Eq. 2) asks for point features that a geometric transformation does not change,
    ``loss_cmid`` (Eq. 6) for the mean of both (the prototype, Eq. 4) to agree with the image.

    Args:
        point_channels, pixel_channels: Channels of the features.
        out_channels: d of the invariant space.
        temperature: :math:`\tau`.
        literal: The printed form: an instance is a whole scan and its image, and Eq. 5 has the
            printed denominator. Negatives are then the other pairs of the batch: with one pair a
            step Eq. 2 is zero, and Eq. 6 only attracts. ``False``: instances are the superpoints
            of a pair and the superpixels they project to, and Eq. 5 has the form of Eq. 1.
        queue_size: Past instances kept as further negatives, of each process its own.
        imid_weight, cmid_weight: :math:`\lambda_1`, :math:`\lambda_2` of Eq. 7.

    Raises:
        ValueError: When the literal form is to have a queue, which it does not print.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 out_channels: int = 256,
                 temperature: float = 0.1,
                 literal: bool = False,
                 queue_size: int = 0,
                 imid_weight: float = 1.,
                 cmid_weight: float = 1.,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        if literal and queue_size:
            raise ValueError('ContrastiveHead: the printed losses have no queue; expected '
                             f'queue_size=0 beside literal=True, found {queue_size}.')
        self.point_proj = _projection(point_channels, out_channels)
        self.pixel_proj = _projection(pixel_channels, out_channels)
        self.temperature = temperature
        self.literal = literal
        self.imid_weight = imid_weight
        self.cmid_weight = cmid_weight
        self.queue_size = queue_size
        if queue_size:
            self.register_buffer('queue', torch.zeros(queue_size, out_channels))
            self.register_buffer('num_queued', torch.zeros((), dtype=torch.long))

    def loss(self, instances: Instances) -> Dict[str, Tensor]:
        """Weighted ``loss_imid`` and ``loss_cmid``."""
        if self.literal:
            instances = whole_pairs(instances)
        first, second = self.point_proj(instances.first), self.point_proj(instances.second)
        image = self.pixel_proj(instances.image)
        prototype = (first + second) / 2  # Eq. 4
        queue = self._queued()
        imid = instance_loss(first, second, self.temperature, instances.valid, instances.near,
                             queue)
        ignored = instances.near | instances.same_pixel
        if self.literal:
            cmid = printed_cross_modal_loss(
                prototype, image, self.temperature, instances.visible, ignored)
        else:
            cmid = instance_loss(
                prototype, image, self.temperature, instances.visible, ignored, queue)
        if self.queue_size and self.training:
            self._enqueue(torch.cat((prototype[instances.visible], image[instances.visible])))
        return dict(loss_imid=self.imid_weight * imid, loss_cmid=self.cmid_weight * cmid)

    def _queued(self) -> Optional[Tensor]:
        if not self.queue_size or not int(self.num_queued):
            return None
        # A copy: what is queued in this step must not change what the loss was computed with.
        return self.queue[:min(int(self.num_queued), self.queue_size)].clone()

    @torch.no_grad()
    def _enqueue(self, rows: Tensor) -> None:
        rows = nn.functional.normalize(rows.float(), dim=-1)[-self.queue_size:]
        place = (self.num_queued + torch.arange(len(rows), device=rows.device)) % self.queue_size
        self.queue[place] = rows
        self.num_queued += len(rows)


def whole_pairs(instances: Instances) -> Instances:
    """One set whose instances are the V pairs: the maximum over points, the mean over pixels."""
    def largest(feats: Tensor) -> Tensor:
        return feats.masked_fill(~instances.valid[..., None], -1e4).amax(1)[None]

    weight = instances.visible[..., None].float()  # half precision is lost in sums of hundreds
    image = ((instances.image * weight).sum(1) / weight.sum(1).clamp(min=1))[None]
    first = largest(instances.first)
    there = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
    none = torch.zeros(1, len(there[0]), len(there[0]), dtype=torch.bool, device=first.device)
    return Instances(first, largest(instances.second), image, there, there, none, none)


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, out_channels), nn.ReLU(), nn.Linear(out_channels, out_channels))
