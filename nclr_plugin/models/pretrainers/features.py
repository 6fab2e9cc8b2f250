"""What a calibration network hands from step to step: features and their ground truth."""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...geometry.camera import CellGrid
from ..heads.yaw_head import YawPrediction
from ..layers.batching import ViewVoxels
from ..layers.voxelization import VoxelBatch


@dataclass
class Features:
    """Features and predictions of both branches for V views.

    Attributes:
        voxels: N voxels: those of the batch, in training a random subset of them.
        points: (N, C_P) their decoded features, which the matching head embeds.
        pixels: (V, H' W', D) normalised pixel features.
        grid: Their cells.
        view_voxels: Voxels of the scan of each view, L at most.
        point_logits: (V, L) overlap logits of these voxels; ``None`` without overlap detection.
        pixel_logits: (V, H', W'); ``None`` likewise.
        yaw: Predicted yaw of each camera; ``None`` without that head.
    """
    voxels: VoxelBatch
    points: Tensor
    pixels: Tensor
    grid: CellGrid
    view_voxels: ViewVoxels
    point_logits: Tensor | None
    pixel_logits: Tensor | None
    yaw: YawPrediction | None

    @property
    def centres(self) -> Tensor:
        """(H' W', 2), input-image pixels: the centres of the cells."""
        return self.grid.centres(torch.float32, self.pixels.device).view(-1, 2)


class GroundTruth(NamedTuple):
    """Projections of the voxels of each view under the true pose.

    Attributes:
        pixels: (V, L, 2) input-image pixels.
        visible: (V, L) bool.
        pixel_labels: (V, H', W') bool, cells in the overlapping area.
    """
    pixels: Tensor
    visible: Tensor
    pixel_labels: Tensor

    def take_pixels(self, columns: Tensor) -> Tensor:
        """Return the projections (V, K, 2) of some columns (V, K)."""
        return self.pixels.gather(1, columns[..., None].expand(-1, -1, 2))
