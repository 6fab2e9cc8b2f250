"""From a collated batch of samples to the tensors that the pretrainers take."""
from __future__ import annotations

from typing import Optional, Sequence

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS

from .voxelization import voxelize


@MODELS.register_module()
class CalibrationDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device, normalises the images and voxelises the scans.

    Args:
        mean, std: Per-channel statistics of RGB values in 0..255.
        voxel_size: (x, y, z), metres.
        max_voxels: Largest number of voxels of a scan in training (``None``: no limit).
        non_blocking: Asynchronous host-to-device copies.

    Input: ``inputs`` with lists ``points`` (N_b, C) and ``imgs`` (V_b, 3, H, W) uint8, and
    ``data_samples``, a list of ``CalibrationDataSample`` or ``None``.

    Output ``inputs``:

    - ``imgs`` (V, 3, H, W), normalised, the views of all scans one after another;
    - ``view_batch_index`` (V,): the scan of each view;
    - ``voxels``: :class:`~nclr_plugin.models.voxelization.VoxelBatch`;
    - ``cam2img`` (V, 3, 3) float32 and, where known, ``lidar2cam`` (V, 4, 4) float32.

    Raises:
        ValueError: The images of the batch differ in size.
    """

    def __init__(self,
                 mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375),
                 voxel_size: Sequence[float] = (0.05, 0.05, 0.05),
                 max_voxels: Optional[int] = None,
                 non_blocking: bool = False) -> None:
        super().__init__(non_blocking=non_blocking)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), False)
        self.voxel_size = tuple(voxel_size)
        self.max_voxels = max_voxels

    def forward(self, data: dict, training: bool = False) -> dict:
        """See the class."""
        data = self.cast_data(data)
        points, imgs = data['inputs']['points'], data['inputs']['imgs']
        samples = data.get('data_samples')
        sizes = {tuple(img.shape[-2:]) for img in imgs}
        if len(sizes) > 1:
            raise ValueError(f'The images of one batch must have one size, but are {sorted(sizes)} '
                             '(H, W): add ResizeImages to the pipeline.')
        views = torch.tensor([len(img) for img in imgs], device=self.device)
        inputs = dict(
            imgs=(torch.cat(imgs).float() - self.mean) / self.std,
            view_batch_index=torch.repeat_interleave(
                torch.arange(len(imgs), device=self.device), views),
            voxels=voxelize(points, self.voxel_size, self.max_voxels if training else None))
        if samples is not None:
            for key in ('cam2img', 'lidar2cam'):
                if all(key in sample for sample in samples):
                    inputs[key] = torch.cat([getattr(s, key) for s in samples]).to(
                        self.device, torch.float32)
        return dict(inputs=inputs, data_samples=samples)
