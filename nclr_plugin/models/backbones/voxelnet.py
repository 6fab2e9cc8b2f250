"""mmdet3d's sparse encoder of the detectors, with per-point features for matching."""
from __future__ import annotations

from typing import Sequence

from mmdet3d.models.middle_encoders import SparseEncoder
from mmengine.model import initialize
from torch import nn

from .split_encoder import DETECTOR_HEIGHT, SplitEncoder


class SplitSparseEncoder(SplitEncoder, SparseEncoder):
    """mmdet3d's ``SparseEncoder`` (VoxelNet's middle encoder), split for feature fusion.

    The encoder with ``conv_out`` and its ``state_dict`` keys are mmdet3d's. The few layers around
    it come from :class:`~nclr_plugin.models.backbones.split_encoder.SplitEncoder`. The input is
    that of the detectors' ``HardSimpleVFE``.

    Args:
        in_channels: Channels of a voxel in the detector. Those beyond the given ones are 0: on
            nuScenes, detectors have the time since the key frame as the fifth.
        encoder_channels, encoder_paddings, block_type, base_channels, output_channels: Arguments of
            mmdet3d's class; the defaults are the encoder of SECOND and PV-RCNN.
        intensity_scale: Factor from intensity 0..1 to what the detector sees: 255 on nuScenes.
        out_channels: Channels of the per-point features.
        init_cfg: Weight initialisation.
    """

    def __init__(self,
                 in_channels: int = 4,
                 encoder_channels: Sequence[Sequence[int]] = ((16, ), (32, 32, 32), (64, 64, 64),
                                                              (64, 64, 64)),
                 encoder_paddings: Sequence[Sequence] = ((1, ), (1, 1, 1), (1, 1, 1),
                                                         ((0, 1, 1), 1, 1)),
                 block_type: str = 'conv_module',
                 base_channels: int = 16,
                 output_channels: int = 128,
                 intensity_scale: float = 1.,
                 out_channels: int = 96,
                 init_cfg: dict | None = None) -> None:
        super().__init__(
            in_channels,
            sparse_shape=[DETECTOR_HEIGHT, -1, -1],  # the others follow from the scans
            base_channels=base_channels,
            output_channels=output_channels,
            encoder_channels=encoder_channels,
            encoder_paddings=encoder_paddings,
            block_type=block_type)
        channels = [stage[-1] for stage in encoder_channels]  # of the last voxels of each stride
        down = [stage[0] for stage in encoder_paddings[1:]]
        if block_type == 'basicblock':  # its stages end going down
            channels = [base_channels, *channels[:-2], channels[-1]]
            down = [stage[-1] for stage in encoder_paddings[:-1]]
        self.add_layers(in_channels, [*channels, output_channels], down, intensity_scale,
                        out_channels)
        self.init_cfg = init_cfg

    def init_weights(self) -> None:
        """Apply ``init_cfg``: mmdet3d's encoder is no ``BaseModule``, which would do so."""
        if self.init_cfg:
            initialize(self, self.init_cfg)

    def encoder_steps(self) -> list[nn.Module]:
        """Return ``conv_input``, the stages, ``conv_out``."""
        return [self.conv_input, *self.encoder_layers, self.conv_out]
