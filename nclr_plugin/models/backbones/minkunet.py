"""MinkUNet and ResUNet, split into encoder and decoder, with mmdet3d's parameter names."""
from __future__ import annotations

from typing import Sequence

import torch
from mmdet3d.models.backbones import MinkUNetBackbone
from spconv.pytorch import SparseConvTensor
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class SplitMinkUNet(MinkUNetBackbone):
    """mmdet3d's ``MinkUNetBackbone`` on spconv, split at the bottleneck for feature fusion.

    The ``state_dict`` keys are mmdet3d's, so its segmentors load the weights as they are.

    Args:
        in_channels: Channels of a voxel's input.
        base_channels, encoder_channels, encoder_blocks, decoder_channels, decoder_blocks,
            block_type: Arguments of mmdet3d's class. There are as many stages as
            ``encoder_channels``; the stride of the bottleneck is 2 to that power.
        batch_stats_in_eval: Let BatchNorm use the statistics of the batch in evaluation too. For
            training with one scan a step: its statistics describe the scene, and stored ones would
            change the network. Test with as many scans a step as in training.
        init_cfg: Weight initialisation.
    """

    def __init__(self,
                 in_channels: int = 4,
                 base_channels: int = 32,
                 encoder_channels: Sequence[int] = (32, 64, 128, 256),
                 encoder_blocks: Sequence[int] = (2, 2, 2, 2),
                 decoder_channels: Sequence[int] = (256, 128, 96, 96),
                 decoder_blocks: Sequence[int] = (2, 2, 2, 2),
                 block_type: str = 'basic',
                 batch_stats_in_eval: bool = False,
                 init_cfg: dict = None) -> None:
        # mmdet3d inserts into the lists that it is given: pass copies.
        super().__init__(
            in_channels=in_channels,
            base_channels=base_channels,
            num_stages=len(encoder_channels),
            encoder_channels=list(encoder_channels),
            encoder_blocks=list(encoder_blocks),
            decoder_channels=list(decoder_channels),
            decoder_blocks=list(decoder_blocks),
            block_type=block_type,
            sparseconv_backend='spconv',
            init_cfg=init_cfg)
        self.stride = 2**len(encoder_channels)
        self.level_channels = (base_channels, *encoder_channels)
        self.bottleneck_channels = encoder_channels[-1]
        self.out_channels = decoder_channels[-1]
        self.batch_stats_in_eval = batch_stats_in_eval

    def train(self, mode: bool = True) -> 'SplitMinkUNet':
        """Set the mode; with ``batch_stats_in_eval`` evaluation normalises as training does."""
        super().train(mode)
        if self.batch_stats_in_eval:
            for norm in self.modules():
                if isinstance(norm, _BatchNorm):
                    norm.train()
                    norm.momentum = 0.1 if mode else 0.  # stored statistics stay as they are
        return self

    def encode(self, voxel_feats: Tensor, coors: Tensor) -> list[SparseConvTensor]:
        """Encode voxels (M, C) with ``batch, x, y, z`` indices (M, 4).

        Returns:
            The levels: the first has the input's voxels, the last is the bottleneck at
            ``self.stride``. Each has ``features`` and ``indices``, in the precision of
            :func:`sparse_precision`.
        """
        with sparse_precision(voxel_feats):
            # Round up to whole bottleneck voxels: down-sampling would drop a partial one at the
            # edge.
            last, *highest = coors.amax(0).tolist()
            spatial_shape = [(index // self.stride + 1) * self.stride for index in highest]
            x = SparseConvTensor(voxel_feats, coors, spatial_shape, last + 1)
            levels = [self.conv_input(x)]
            for stage in self.encoder:
                levels.append(stage(levels[-1]))
        return levels

    def decode(self, levels: list[SparseConvTensor], bottleneck_feats: Tensor) -> Tensor:
        """Decode the levels with other bottleneck features: (M, out_channels)."""
        with sparse_precision(bottleneck_feats):
            x = levels[-1].replace_feature(bottleneck_feats.to(levels[-1].features.dtype))
            for stage in range(len(self.decoder)):
                x = self._decode_stage(stage, x, levels)
        return x.features

    def _decode_stage(self, stage: int, x: SparseConvTensor,
                      levels: list[SparseConvTensor]) -> SparseConvTensor:
        upsample, blocks = self.decoder[stage]
        x = upsample(x)
        lateral = levels[-2 - stage].features
        return blocks(x.replace_feature(torch.cat((x.features, lateral), 1)))

    def forward(self, voxel_feats: Tensor, coors: Tensor) -> Tensor:
        """Encode and decode as mmdet3d's network: (M, C), (M, 4) -> (M, out_channels)."""
        levels = self.encode(voxel_feats, coors)
        return self.decode(levels, levels[-1].features)


class SplitResUNet(SplitMinkUNet):
    """MinkUNet with one convolution before its first stage: the published code's nuScenes network.

    The paper (section 4.2) names "two versions of MinkUNet [37], along with ResUNet18 applied to
    SemanticKITTI, ResUNet34 for nuScenes". The published code has two networks, both with
    MinkUNet's blocks and widths. The one for nuScenes ("MinkUNet34") begins with one convolution:
    this class with ``encoder_blocks=(2, 3, 4, 6)``. The one for SemanticKITTI ("MinkUNet18", from
    SegContrast) begins with two, as mmdet3d's: :class:`SplitMinkUNet` with
    ``encoder_blocks=(2, 2, 2, 2)``.

    Arguments and ``state_dict`` keys are those of :class:`SplitMinkUNet`, without ``conv_input.1``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        del self.conv_input[1]


def sparse_precision(tensor: Tensor) -> torch.autocast:
    """Return the context for sparse convolutions: float16 under float16 autocast, else float32.

    spconv has no bfloat16, and on the CPU only float32. On CUDA its functions cast to float16 under
    autocast of any type (``custom_fwd(cast_inputs=torch.float16)``). Under bfloat16, which needs no
    gradient scaler, small gradients would underflow.
    """
    kind = tensor.device.type
    half = kind == 'cuda' and torch.is_autocast_enabled() and \
        torch.get_autocast_gpu_dtype() == torch.float16
    return torch.autocast(kind, enabled=half)
