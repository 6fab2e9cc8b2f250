"""ResUNet-18 and -34: a MinkUNet with a single convolution before its first stage."""
from __future__ import annotations

from .minkunet import SplitMinkUNet


class SplitResUNet(SplitMinkUNet):
    """The residual sparse U-Net that is pretrained on nuScenes in the published code.

    The paper (section 4.2) names "two versions of MinkUNet [37], along with ResUNet18 applied to
    SemanticKITTI, ResUNet34 for nuScenes". The published code has two networks for these names,
    both with MinkUNet's residual blocks and widths: that for nuScenes ("MinkUNet34") begins with
    one convolution, and is this class with ``encoder_blocks=(2, 3, 4, 6)``; that for SemanticKITTI
    ("MinkUNet18", from SegContrast) begins with two, as mmdet3d's, and is :class:`SplitMinkUNet`
    with ``encoder_blocks=(2, 2, 2, 2)``. With those blocks this class is the nuScenes network,
    less deep.

    The ``state_dict`` keys are those of :class:`SplitMinkUNet` without ``conv_input.1``. All
    arguments are the same too.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        del self.conv_input[1]
