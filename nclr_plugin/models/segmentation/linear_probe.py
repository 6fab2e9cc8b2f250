"""How much a frozen backbone knows: a linear classifier on its features."""
from __future__ import annotations

from typing import Any

from mmdet3d.models.segmentors import MinkUNet


class LinearProbeMinkUNet(MinkUNet):
    """mmdet3d's ``MinkUNet`` whose backbone is not trained, its BatchNorm included.

    No parameter of the backbone has a gradient, and its stored statistics stay as they were loaded:
    the head is all that learns.

    Args: see the host.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> 'LinearProbeMinkUNet':
        """Set the mode of all but the backbone, which stays in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self
