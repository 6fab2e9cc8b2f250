"""Sparse encoders of detectors, split for feature fusion: the part mmdet3d and OpenPCDet share."""
from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, Sequence

import torch
from spconv.pytorch import SparseConv3d, SparseConvTensor, SparseSequential
from torch import Tensor, nn
from torch.nn import functional as F

from ...utils.devices import constant
from ..layers.voxelization import interpolate, take_rows

# Empty voxels before the first one of a scan, on the ground plane. With them no coarse voxel is
# lost at the edge, and an index j at strides s = 8 and 16 has its centre at voxel
# s j + (s - 1) / 2 to within one half, as VoxelBatch.centres assumes.
EDGE = 12
DETECTOR_HEIGHT = 41  # voxels; the detectors' sparse_shape is (41, ...) whatever their voxel size
TOKEN_STRIDE = 2  # of the tokens, in pixels of the detectors' bird's-eye map


class EncoderLevel(NamedTuple):
    """Features (K, C) of voxels and their ``batch, x, y, z`` indices (K, 4)."""
    features: Tensor
    indices: Tensor


class SplitEncoder(nn.Module):
    """Mixin of a module that has a detector's sparse encoder; initialise the module first.

    It adds the few layers that pretraining needs around the encoder: ``tokens`` merges 2 x 2
    columns of the bird's-eye map for the fusion, ``lateral`` and ``mix`` make per-point features. A
    point gets the interpolated features of the voxels around it at each stride (paper, section
    3.2), so points above each other have different features, unlike in a bird's-eye map.

    The input is that of the detectors: the mean x, y, z and intensity in a voxel. On the ground
    plane nothing is cropped: for a convolution a range matters only at its edges. In z the grid
    has 41 voxels from the lowest one on, as in the detectors: crop scans to the detectors' range of
    heights.
    """

    def add_layers(self, in_channels: int, level_channels: Sequence[int],
                   down_paddings: Sequence, intensity_scale: float, out_channels: int) -> None:
        """Add the layers around the encoder.

        Args:
            in_channels: Channels of a voxel in the detector. Those beyond the given ones are 0: on
                nuScenes, detectors have the time since the key frame as the fifth.
            level_channels: Channels of the strides 1, 2, ... and of the encoder's output.
            down_paddings: Padding z, y, x, or one number, of the convolutions that go down.
            intensity_scale: Factor from intensity 0..1 to what the detector sees: 255 on nuScenes.
            out_channels: Channels of the per-point features.
        """
        self.in_channels = in_channels
        self.intensity_scale = intensity_scale
        channels = level_channels[-1]
        step = (1, TOKEN_STRIDE, TOKEN_STRIDE)
        self.tokens = SparseSequential(
            SparseConv3d(channels, channels, step, stride=step, bias=False, indice_key='tokens'),
            nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01), nn.ReLU(inplace=True))
        self.level_channels = tuple(level_channels)
        self.bottleneck_channels = channels
        self.stride = 2**(len(level_channels) - 1)
        self.out_channels = out_channels
        self.lateral = nn.ModuleList(
            nn.Linear(channels, out_channels, bias=False) for channels in level_channels)
        self.mix = nn.Sequential(
            nn.BatchNorm1d(out_channels), nn.ReLU(inplace=True),
            nn.Linear(out_channels, out_channels, bias=False),
            nn.BatchNorm1d(out_channels), nn.ReLU(inplace=True))
        self.first_centres = _first_centres(down_paddings)

    @abstractmethod
    def encoder_steps(self) -> list[nn.Module]:
        """Return the encoder's parts in order, the last one its output convolution."""

    def encode(self, voxel_feats: Tensor, coors: Tensor) -> list[EncoderLevel]:
        """Encode voxels (M, C) with ``batch, x, y, z`` indices (M, 4).

        Mixed precision is off here, as in mmdet3d.

        Returns:
            The levels: the first has the input's voxels, each next one twice the stride; the last
            has the tokens at ``self.stride``.
        """
        with torch.autocast(voxel_feats.device.type, enabled=False):
            width, length, height = (coors.amax(0)[1:] + 1).tolist()
            whole = 2 * self.stride
            # The detectors halve 41 -> 21 -> 11 -> 5 -> 2 in z; a higher scan has a larger grid.
            depth = DETECTOR_HEIGHT + max(0, -(-(height - DETECTOR_HEIGHT) // 16) * 16)
            shape = [depth, *((side + EDGE) // whole * whole + whole for side in (length, width))]
            batch, x, y, z = coors.unbind(1)
            grid = torch.stack((batch, z, y + EDGE, x + EDGE), 1).contiguous()
            x = SparseConvTensor(
                self._detector_inputs(voxel_feats), grid, shape, int(coors[-1, 0]) + 1)
            *steps, conv_out = self.encoder_steps()
            levels = []
            for step in steps:
                x = step(x)
                if levels and x.spatial_shape == levels[-1].spatial_shape:
                    levels.pop()
                levels.append(x)
            levels.append(self.tokens(conv_out(x)))
        return [EncoderLevel(level.features, self._indices(number, level.indices))
                for number, level in enumerate(levels)]

    def decode(self, levels: list[EncoderLevel], bottleneck_feats: Tensor,
               rows: Tensor | None = None) -> Tensor:
        """Decode the levels with other bottleneck features: (M, out_channels), or some rows.

        Only the voxels of ``rows`` are interpolated.
        """
        voxels = EncoderLevel(*(take_rows(value, rows) for value in levels[0]))
        with torch.autocast(bottleneck_feats.device.type, enabled=False):
            total = self.lateral[0](voxels.features)
            for number, (level, project) in enumerate(zip(levels, self.lateral)):
                if number == 0:
                    continue
                last = number == len(levels) - 1
                feats = project(bottleneck_feats.float() if last else level.features)
                # In cells of the level, whose index j has its centre where its kernel has it.
                stride = 2**number
                first = constant(self.first_centres[number], feats.dtype, feats.device)
                cells = (voxels.indices[:, 1:] - first) / stride + self._shift(number, feats)
                positions = torch.cat((voxels.indices[:, :1].to(cells), cells), 1)
                total = total + interpolate(feats, level.indices, positions)
            return self.mix(total)

    def forward(self, voxel_feats: Tensor, coors: Tensor) -> Tensor:
        """Encode and decode without fusion: (M, C), (M, 4) -> (M, out_channels)."""
        levels = self.encode(voxel_feats, coors)
        return self.decode(levels, levels[-1].features)

    def _detector_inputs(self, voxel_feats: Tensor) -> Tensor:
        feats = voxel_feats.float()
        known = torch.cat((feats[:, :3], feats[:, 3:4] * self.intensity_scale, feats[:, 4:]), 1)
        return F.pad(known, (0, self.in_channels - known.shape[1]))

    def _shift(self, number: int, like: Tensor) -> Tensor:
        """Return the offset (3,) from indices of a level to voxel ``stride (j + 0.5) - 0.5``."""
        stride = 2**number
        return constant(tuple(round((first - (stride - 1) / 2) / stride)
                              for first in self.first_centres[number]), like.dtype, like.device)

    def _indices(self, number: int, grid: Tensor) -> Tensor:
        batch, z, y, x = grid.unbind(1)
        shift = self._shift(number, grid)
        return torch.stack((batch, x + shift[0], y + shift[1], z + shift[2]), 1)


def _first_centres(down_paddings: Sequence) -> list[tuple[float, ...]]:
    """Return the centre of the voxel of index 0 of each level, x, y, z in input voxels."""
    centres, stride = [torch.zeros(3)], 1
    for padding in down_paddings:  # kernels of 3 in steps of 2
        z, y, x = (padding, ) * 3 if isinstance(padding, int) else padding
        centres.append(centres[-1] + stride * (1 - torch.tensor([x, y, z])))
        stride *= 2
    # The output: 3 in steps of 2 upwards; tokens: 2 in steps of 2 on the ground.
    on_the_ground = (TOKEN_STRIDE - 1) / 2
    centres.append(centres[-1] + stride * torch.tensor([on_the_ground, on_the_ground, 1.]))
    return [tuple((centre - torch.tensor([EDGE, EDGE, 0])).tolist()) for centre in centres]
