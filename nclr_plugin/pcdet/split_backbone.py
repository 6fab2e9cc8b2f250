"""OpenPCDet's VoxelBackBone8x in the pretrainers' interface."""
from __future__ import annotations

from typing import List

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import nn

from nclr_plugin.models.backbones.split_encoder import SplitEncoder

DOWN_PADDINGS = (1, 1, (0, 1, 1))  # of conv2, conv3, conv4


@MODELS.register_module()
class SplitVoxelBackBone8x(SplitEncoder, BaseModule):
    """What pretraining adds to a ``VoxelBackBone8x``, or its residual variant.

    The encoder stays the property of the detector that has built it, and has its keys there
    (``backbone_3d.*``); the ``state_dict`` of this module holds only the layers around it.

    Args:
        encoder: The host's module.
        in_channels: Channels of a voxel.
        intensity_scale, out_channels: See
            :meth:`~nclr_plugin.models.backbones.split_encoder.SplitEncoder.add_layers`.
    """

    def __init__(self,
                 encoder: nn.Module,
                 in_channels: int = 4,
                 intensity_scale: float = 1.,
                 out_channels: int = 96) -> None:
        super().__init__()
        self._encoder = (encoder, )  # a tuple: not to be registered a second time
        self.add_layers(
            in_channels=in_channels,
            level_channels=(*encoder.backbone_channels.values(), encoder.num_point_features),
            down_paddings=DOWN_PADDINGS,
            intensity_scale=intensity_scale,
            out_channels=out_channels)

    def encoder_steps(self) -> List[nn.Module]:
        """conv_input and conv1, conv2, conv3, conv4, conv_out."""
        encoder, = self._encoder
        names = ('conv_input', 'conv1', 'conv2', 'conv3', 'conv4', 'conv_out')
        return [getattr(encoder, name) for name in names]
