"""SPVCNN on spconv: a MinkUNet with a branch of points beside its voxels."""
from __future__ import annotations


import torch
from spconv.pytorch import SparseConvTensor
from torch import Tensor, nn

from ..layers.sparse_interpolation import interpolate
from ..layers.voxelization import containing_rows
from .minkunet import SplitMinkUNet, sparse_precision


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

    def decode(self, levels: list[SparseConvTensor], bottleneck_feats: Tensor) -> Tensor:
        """Decode the levels with other bottleneck features: (M, out_channels)."""
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
            return x.features + next(transforms)(points)


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
