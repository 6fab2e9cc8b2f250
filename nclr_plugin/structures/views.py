"""Batch of a calibration network."""
from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ..geometry.camera import CellGrid


class Views(NamedTuple):
    """V views (scan and camera) of B scans, on the device of the model.

    Attributes:
        imgs: (V, 3, H, W), normalised, the views of all scans in order.
        view_batch_index: (V,) index of the scan of each view.
        voxels: :class:`~nclr_plugin.models.layers.voxelization.VoxelBatch` of the scans.
        cam2img: (V, 3, 3) float32.
        lidar2cam: (V, 4, 4) float32; ``None`` if unknown.
    """
    imgs: Tensor
    view_batch_index: Tensor
    voxels: Any
    cam2img: Tensor
    lidar2cam: Tensor | None = None

    @property
    def batch_size(self) -> int:
        """Number of scans."""
        return len(self.voxels.origin)

    def grid(self, stride: int) -> CellGrid:
        """Return the cells of the images' feature maps of a stride."""
        return CellGrid(*self.imgs.shape[-2:], stride)
