"""Heads of the segmentors: classes, and the centres of objects."""
from __future__ import annotations

from typing import Sequence

import torch
from mmdet3d.models.decode_heads import MinkUNetHead
from mmdet3d.structures.det3d_data_sample import SampleList
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

LOVASZ = dict(type='mmdet3d.LovaszLoss', loss_type='multi_class', classes='present',
              per_sample=False, reduction='none')


class LovaszMinkUNetHead(MinkUNetHead):
    """mmdet3d's ``MinkUNetHead``, trained by cross-entropy and Lovasz-Softmax.

    Args:
        lovasz_weight: Weight of the Lovasz loss; that of the cross-entropy is in ``loss_decode``.
        kwargs: Arguments of mmdet3d's class.
    """

    def __init__(self, lovasz_weight: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.loss_lovasz = MODELS.build(dict(LOVASZ, loss_weight=lovasz_weight))

    def loss_by_feat(self, seg_logit: Tensor,
                     batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses of the labelled voxels; zero, with gradients, if there are none."""
        label = self._stack_batch_gt(batch_data_samples)
        # mmdet3d's Lovasz loss fails on a batch with one labelled voxel, and is empty on none.
        labelled = label != self.ignore_index
        seg_logit, label = seg_logit[labelled], label[labelled]
        if len(label) == 0:
            zero = seg_logit.sum()
            return dict(loss_ce=zero, loss_lovasz=zero)
        return dict(
            loss_ce=self.loss_decode(seg_logit, label, ignore_index=self.ignore_index),
            loss_lovasz=self.loss_lovasz(seg_logit, label, ignore_index=None))


class OffsetHead(BaseModule):
    """Predict the offset from a voxel to the centre of its object (paper, section 4.4).

    The points of a voxel share its predicted centre. The centre of an object is the middle of the
    box around its points.

    Args:
        channels: Channels of the backbone's features.
        thing_classes: The classes that have instances.
        loss_offset: Config of the loss between predicted and true centres; by default mmdet's L1
            loss, summed over the axes and averaged over the points of instances.
        init_cfg: Weight initialisation.
    """

    def __init__(self,
                 channels: int,
                 thing_classes: Sequence[int],
                 loss_offset: dict = dict(type='mmdet.L1Loss', loss_weight=1.0),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.layers = nn.Sequential(
            nn.Linear(channels, channels), nn.BatchNorm1d(channels), nn.ReLU(),
            nn.Linear(channels, 3))
        self.thing_classes = list(thing_classes)
        self.loss_offset = MODELS.build(loss_offset)

    def forward(self, voxel_feats: Tensor) -> Tensor:
        """Predict the offsets (M, 3), metres, from features (M, C)."""
        return self.layers(voxel_feats)

    def loss(self, centres: Sequence[Tensor], points: Sequence[Tensor],
             semantic: Sequence[Tensor], instance: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compare the predicted centres with the true ones.

        Args:
            centres: B scans (N_b, 3), metres: the predicted centre of each point's object.
            points: B scans (N_b, 3+), metres.
            semantic: B scans (N_b,) true classes.
            instance: True instances (N_b,) of B scans; 0 means no instance.
        """
        predicted, true = [], []
        for centre, point, classes, ids in zip(centres, points, semantic, instance):
            # An id is one object within its class only.
            labels = torch.stack((classes.long(), ids.long()), 1)
            known = torch.isin(labels[:, 0], labels.new_tensor(self.thing_classes)) & (ids > 0)
            predicted.append(centre[known])
            true.append(box_centres(point[known, :3], labels[known]))
        predicted, true = torch.cat(predicted), torch.cat(true)
        loss = self.loss_offset(predicted, true, avg_factor=max(1, len(true)))
        return dict(loss_offset=loss)


def box_centres(points: Tensor, labels: Tensor) -> Tensor:
    """Return the middle of the box around each group of points, for each point.

    Args:
        points: (N, 3), metres.
        labels: (N, K) integers; points with the same row are a group.

    Returns:
        (N, 3), metres.
    """
    groups, index = torch.unique(labels, dim=0, return_inverse=True)
    row = index[:, None].expand(-1, 3)
    extremes = [points.new_zeros(len(groups), 3).scatter_reduce(
        0, row, points, reduce, include_self=False) for reduce in ('amin', 'amax')]
    return ((extremes[0] + extremes[1]) / 2)[index]
