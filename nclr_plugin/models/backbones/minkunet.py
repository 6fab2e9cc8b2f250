"""MinkUNet, ResUNet and SPVCNN, split into encoder and decoder, with mmdet3d's parameter names."""
from __future__ import annotations

from typing import Sequence

import torch
from mmdet3d.models.backbones import MinkUNetBackbone
from spconv.pytorch import SparseConvTensor
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers.voxelization import containing_rows, interpolate, take_rows


class SplitMinkUNet(MinkUNetBackbone):
    """mmdet3d's ``MinkUNetBackbone`` on spconv, split at the bottleneck for feature fusion.

    The ``state_dict`` keys are mmdet3d's, so its segmentors load the weights as they are.

    Args:
        in_channels: Channels of a voxel's input.
        base_channels, encoder_channels, encoder_blocks, decoder_channels, decoder_blocks,
            block_type: Arguments of mmdet3d's class. There are as many stages as
            ``encoder_channels``; the stride of the bottleneck is 2 to that power.
        batch_stats_in_eval: Let BatchNorm use the statistics of the batch in evaluation too. Use it
            if a step has one scan, whose statistics describe the scene: stored ones would change
            the network. Test with as many scans per step as in training.
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
                 init_cfg: dict | None = None) -> None:
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

    def decode(self, levels: list[SparseConvTensor], bottleneck_feats: Tensor,
               rows: Tensor | None = None) -> Tensor:
        """Decode the levels with other bottleneck features: (M, out_channels), or some rows."""
        with sparse_precision(bottleneck_feats):
            x = levels[-1].replace_feature(bottleneck_feats.to(levels[-1].features.dtype))
            for stage in range(len(self.decoder)):
                x = self._decode_stage(stage, x, levels)
        return take_rows(x.features, rows)

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


class SplitSPVCNN(SplitMinkUNet):
    """mmdet3d's ``SPVCNNBackbone`` on spconv instead of TorchSparse 1.4.

    As there, the points are the input voxels. They take features from the voxels by trilinear
    interpolation: after the encoder, in the middle of the decoder and after it. The first two times
    the voxels get the mean of their points back (`SPVNAS <https://arxiv.org/abs/2007.16100>`_,
    section 3.1). At stride 1 points and voxels coincide, so nothing is exchanged. Features fused
    into the bottleneck reach the points too.

    The ``state_dict`` keys are mmdet3d's: those of ``MinkUNetBackbone`` on spconv, and
    ``point_transforms.*``.

    Args:
        drop_ratio: Dropout of the voxel features that come from points.
        kwargs: See :class:`SplitMinkUNet`.
    """

    def __init__(self, drop_ratio: float = 0.3, **kwargs) -> None:
        super().__init__(**kwargs)
        self.middle = len(self.decoder) // 2  # stages before the second exchange
        widths = (self.level_channels[0], self.bottleneck_channels,
                  self.decoder[self.middle][0][0].in_channels, self.out_channels)
        self.point_transforms = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU(True))
            for before, after in zip(widths, widths[1:]))
        self.dropout = nn.Dropout(drop_ratio, True)

    def decode(self, levels: list[SparseConvTensor], bottleneck_feats: Tensor,
               rows: Tensor | None = None) -> Tensor:
        """Decode the levels with other bottleneck features: (M, out_channels), or some rows."""
        coors, points = levels[0].indices, levels[0].features
        with sparse_precision(bottleneck_feats):
            x = levels[-1].replace_feature(bottleneck_feats.to(levels[-1].features.dtype))
            transforms = iter(self.point_transforms)
            for stage in range(len(self.decoder)):
                if stage in (0, self.middle):
                    stride = 2**(len(self.decoder) - stage)
                    points = voxel_to_point(x, coors, stride) + next(transforms)(points)
                    x = x.replace_feature(self.dropout(point_to_voxel(points, coors, x, stride)))
                x = self._decode_stage(stage, x, levels)
            return take_rows(x.features + next(transforms)(points), rows)


def voxel_to_point(voxels: SparseConvTensor, coors: Tensor, stride: int) -> Tensor:
    """Interpolate the features of voxels at points, trilinearly.

    As in the published SPVCNN, the features of a voxel belong to its lower corner, and absent
    neighbours get no weight.

    Args:
        voxels: K voxels, ``stride`` times coarser than the points' grid.
        coors: (N, 4) ``batch, x, y, z`` of the points, each in one of the voxels.
        stride: Edge of a voxel.

    Returns:
        (N, C).
    """
    positions = torch.cat((coors[:, :1].float(), coors[:, 1:] / stride), 1)
    return interpolate(voxels.features, voxels.indices, positions)


def point_to_voxel(point_feats: Tensor, coors: Tensor, voxels: SparseConvTensor,
                   stride: int) -> Tensor:
    """Average the points in each voxel.

    Args:
        point_feats: (N, C).
        coors: (N, 4) ``batch, x, y, z`` of the points, each in one of the voxels.
        voxels: K voxels, each with a point, ``stride`` times coarser than the points' grid.
        stride: Edge of a voxel.

    Returns:
        (K, C), summed in single precision.
    """
    parent = containing_rows(coors, voxels.indices, stride)
    ones = torch.ones_like(point_feats[:, :1], dtype=torch.float32)
    total = ones.new_zeros(len(voxels.indices), point_feats.shape[1])
    total = total.index_add(0, parent, point_feats.float())
    count = ones.new_zeros(len(voxels.indices), 1).index_add_(0, parent, ones)
    return (total / count).to(point_feats.dtype)
