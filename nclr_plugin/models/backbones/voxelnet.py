"""The detectors' sparse encoder, with per-point features for matching on top of it."""
from __future__ import annotations

from typing import List, NamedTuple, Sequence, Tuple

import torch
from mmdet3d.models.layers import make_sparse_convmodule
from mmdet3d.models.middle_encoders import SparseEncoder
from spconv.pytorch import SparseConvTensor
from torch import Tensor, nn
from torch.nn import functional as F

from .sparse_interpolation import interpolate

# Voxels that are left free before a scan's first one, on the ground plane. No coarse voxel is lost
# at the edge then, and an index j of strides s = 8 and 16, whose positions the pretrainer uses, lies
# at voxel s j + (s - 1) / 2 to within one half, where VoxelBatch.centres takes it to lie.
EDGE = 12
DETECTOR_HEIGHT = 41  # voxels; the detectors' sparse_shape is (41, ...) whatever their voxel size
TOKEN_STRIDE = 2  # of the tokens, in pixels of the detectors' bird's-eye map


class EncoderLevel(NamedTuple):
    """Features (K, C) of voxels and their ``batch, x, y, z`` indices (K, 4)."""
    features: Tensor
    indices: Tensor


class SplitSparseEncoder(SparseEncoder):
    """mmdet3d's ``SparseEncoder`` (VoxelNet's middle encoder) in the pretrainers' interface.

    The encoder, ``conv_out`` included, is the host's own, and so are its ``state_dict`` keys; only
    the few layers around it that pretraining needs are added: ``tokens`` merges 2 x 2 of the
    map's columns for the fusion, ``lateral`` and ``mix`` make the per-point features. A point
    gets, from each stride, the features of the voxels around it, interpolated (paper, section
    3.2), so that points above each other have different features, which a bird's-eye map cannot
    give them.

    The input is that of the detectors' ``HardSimpleVFE``: means of x, y, z and intensity in a
    voxel. The encoder is a convolution: a range matters to it only at its edges. On the ground
    plane nothing is cut off here. Upwards, as in the detectors, voxels are counted from the
    lowest in a grid of 41: crop scans to the detectors' range of height.

    Args:
        in_channels: Channels of a voxel in the detector. Those beyond the given ones are 0: on
            nuScenes, detectors have the time since the key frame as the fifth.
        encoder_channels, encoder_paddings, block_type, base_channels, output_channels: As in the
            host, whose defaults are the encoder of SECOND and PV-RCNN.
        intensity_scale: Factor from intensity 0..1 to what the detector sees: 255 on nuScenes.
        out_channels: Channels of the per-point features.
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
                 out_channels: int = 96) -> None:
        super().__init__(
            in_channels,
            sparse_shape=[DETECTOR_HEIGHT, -1, -1],  # the other two by the scans at hand
            base_channels=base_channels,
            output_channels=output_channels,
            encoder_channels=encoder_channels,
            encoder_paddings=encoder_paddings,
            block_type=block_type)
        self.block_type = block_type
        self.intensity_scale = intensity_scale
        self.tokens = make_sparse_convmodule(
            output_channels, output_channels, kernel_size=(1, TOKEN_STRIDE, TOKEN_STRIDE),
            stride=(1, TOKEN_STRIDE, TOKEN_STRIDE), indice_key='tokens',
            norm_cfg=dict(type='BN1d', eps=1e-3, momentum=0.01), conv_type='SparseConv3d')
        self.level_channels = (*self._stage_channels(), output_channels)
        self.bottleneck_channels = output_channels
        self.stride = 2**(len(self.level_channels) - 1)
        self.out_channels = out_channels
        self.lateral = nn.ModuleList(
            nn.Linear(channels, out_channels, bias=False) for channels in self.level_channels)
        self.mix = nn.Sequential(
            nn.BatchNorm1d(out_channels), nn.ReLU(inplace=True),
            nn.Linear(out_channels, out_channels, bias=False),
            nn.BatchNorm1d(out_channels), nn.ReLU(inplace=True))
        self.first_centres = self._first_centres()

    def _stage_channels(self) -> List[int]:
        """Channels of the last voxels of each stride."""
        last = [stage[-1] for stage in self.encoder_channels]
        if self.block_type == 'conv_module':
            return last
        return [self.base_channels, *last[:-2], last[-1]]  # stages of basic blocks end going down

    def _first_centres(self) -> List[Tuple[float, float, float]]:
        """Where the voxel of index 0 of each level has its centre, x, y, z in input voxels."""
        down = [stage[0] for stage in self.encoder_paddings[1:]]
        if self.block_type == 'basicblock':
            down = [stage[-1] for stage in self.encoder_paddings[:-1]]
        centres, stride = [torch.zeros(3)], 1
        for padding in down:  # kernels of 3 in steps of 2
            z, y, x = (padding, ) * 3 if isinstance(padding, int) else padding
            centres.append(centres[-1] + stride * (1 - torch.tensor([x, y, z])))
            stride *= 2
        # conv_out: 3 in steps of 2 upwards; tokens: 2 in steps of 2 on the ground.
        on_the_ground = (TOKEN_STRIDE - 1) / 2
        centres.append(centres[-1] + stride * torch.tensor([on_the_ground, on_the_ground, 1.]))
        return [centre - torch.tensor([EDGE, EDGE, 0]) for centre in centres]

    def encode(self, voxel_feats: Tensor, coors: Tensor) -> List[EncoderLevel]:
        """Voxels (M, C) and their ``batch, x, y, z`` indices (M, 4) -> levels of the encoder.

        The first level has the input's voxels, each further one twice the stride; the last are
        the tokens at ``self.stride``. As in the host, mixed precision is off here.
        """
        with torch.autocast(voxel_feats.device.type, enabled=False):
            width, length, height = (coors.amax(0)[1:] + 1).tolist()
            whole = 2 * self.stride
            shape = [height, *((side + EDGE) // whole * whole + whole for side in (length, width))]
            # The host's steps: 41 -> 21 -> 11 -> 5 -> 2 up, and on from there for higher scans.
            shape[0] = DETECTOR_HEIGHT + max(0, -(-(height - DETECTOR_HEIGHT) // 16) * 16)
            batch, x, y, z = coors.unbind(1)
            grid = torch.stack((batch, z, y + EDGE, x + EDGE), 1).contiguous()
            x = self.conv_input(SparseConvTensor(
                self._detector_inputs(voxel_feats), grid, shape, int(coors[-1, 0]) + 1))
            levels = [x]
            for layer in self.encoder_layers:
                x = layer(x)
                if x.spatial_shape == levels[-1].spatial_shape:
                    levels.pop()
                levels.append(x)
            levels.append(self.tokens(self.conv_out(x)))
        return [EncoderLevel(level.features, self._indices(number, level.indices))
                for number, level in enumerate(levels)]

    def _detector_inputs(self, voxel_feats: Tensor) -> Tensor:
        feats = voxel_feats.float()
        known = torch.cat((feats[:, :3], feats[:, 3:4] * self.intensity_scale, feats[:, 4:]), 1)
        return F.pad(known, (0, self.in_channels - known.shape[1]))

    def _shift(self, number: int) -> Tensor:
        """What brings indices of a level nearest to voxel ``stride j + (stride - 1) / 2``."""
        stride = 2**number
        return ((self.first_centres[number] - (stride - 1) / 2) / stride).round()

    def _indices(self, number: int, grid: Tensor) -> Tensor:
        batch, z, y, x = grid.unbind(1)
        shift = self._shift(number).to(grid)
        return torch.stack((batch, x + shift[0], y + shift[1], z + shift[2]), 1)

    def decode(self, levels: List[EncoderLevel], bottleneck_feats: Tensor) -> Tensor:
        """Levels of :meth:`encode`, the bottleneck's features replaced -> (M, out_channels)."""
        voxels = levels[0]
        with torch.autocast(bottleneck_feats.device.type, enabled=False):
            total = self.lateral[0](voxels.features)
            for number, (level, project) in enumerate(zip(levels, self.lateral)):
                if number == 0:
                    continue
                last = number == len(levels) - 1
                feats = project(bottleneck_feats.float() if last else level.features)
                # In cells of the level, whose index j has its centre where its kernel has it.
                stride = 2**number
                first = self.first_centres[number].to(feats)
                cells = (voxels.indices[:, 1:] - first) / stride + self._shift(number).to(feats)
                positions = torch.cat((voxels.indices[:, :1].to(cells), cells), 1)
                total = total + interpolate(feats, level.indices, positions)
            return self.mix(total)

    def forward(self, voxel_feats: Tensor, coors: Tensor) -> Tensor:
        """Per-point features without fusion: (M, C), (M, 4) -> (M, out_channels)."""
        levels = self.encode(voxel_feats, coors)
        return self.decode(levels, levels[-1].features)
