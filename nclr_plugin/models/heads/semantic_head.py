"""The host's MinkUNet head with the Lovasz loss beside the cross-entropy."""
from __future__ import annotations

from typing import Dict

from mmdet3d.models.decode_heads import MinkUNetHead
from mmdet3d.registry import MODELS
from mmdet3d.structures.det3d_data_sample import SampleList
from torch import Tensor

LOVASZ = dict(type='LovaszLoss', loss_type='multi_class', classes='present', per_sample=False,
              reduction='none')


class LovaszMinkUNetHead(MinkUNetHead):
    """mmdet3d's ``MinkUNetHead``, trained by cross-entropy and Lovasz-Softmax.

    Args:
        lovasz_weight: Weight of the Lovasz loss; that of the cross-entropy is in ``loss_decode``.
        kwargs: As in the host.
    """

    def __init__(self, lovasz_weight: float, **kwargs) -> None:
        super().__init__(**kwargs)
        self.loss_lovasz = MODELS.build(dict(LOVASZ, loss_weight=lovasz_weight))

    def loss_by_feat(self, seg_logit: Tensor,
                     batch_data_samples: SampleList) -> Dict[str, Tensor]:
        """Losses of voxels with a label; zero, with gradients, where none has one."""
        label = self._stack_batch_gt(batch_data_samples)
        # The host's Lovasz loss fails on a batch with one labelled voxel, and is empty on none.
        labelled = label != self.ignore_index
        seg_logit, label = seg_logit[labelled], label[labelled]
        if len(label) == 0:
            nothing = seg_logit.sum()
            return dict(loss_ce=nothing, loss_lovasz=nothing)
        return dict(
            loss_ce=self.loss_decode(seg_logit, label, ignore_index=self.ignore_index),
            loss_lovasz=self.loss_lovasz(seg_logit, label, ignore_index=None))
