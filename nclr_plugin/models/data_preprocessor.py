"""Tensors of a collated batch, as the calibration networks take them."""
from __future__ import annotations

from typing import Sequence

import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import FUNCTIONS, MODELS
from torch import Tensor

from ..structures import Views, check_image_sizes
from ..utils.devices import constant, to_device
from .layers.voxelization import voxelize


@FUNCTIONS.register_module()
def voxel_collate(samples: Sequence[dict], voxel_size: Sequence[float]) -> dict:
    """Collate samples as mmengine's ``pseudo_collate`` does, and voxelise their scans.

    As ``collate_fn`` of a data loader it does so in the loader's processes.

    Args:
        samples: Outputs of :class:`~nclr_plugin.datasets.PackCalibrationInputs`.
        voxel_size: Voxel size of the data preprocessor.
    """
    batch = pseudo_collate(samples)
    inputs = batch['inputs']
    inputs['voxels'] = voxelize(inputs['points'], voxel_size, inputs.get('scan_centre'))
    return batch


@MODELS.register_module()
class CalibrationDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device, normalise the images and voxelise the scans.

    Args:
        mean: Mean of each channel, RGB in 0..255.
        std: Standard deviation of each channel.
        voxel_size: (x, y, z), metres.
        max_voxels: Largest number of voxels of a scan in training (``None``: no limit).

    Input: ``inputs`` with lists ``points`` (N_b, C) and ``imgs`` (V_b, 3, H, W) uint8, optionally
    ``scan_centre`` (3,) of scans of which the points are a sample, and the ``voxels`` of the scans
    (see :func:`voxel_collate`); and ``data_samples``, a list of ``CalibrationDataSample`` or
    ``None``.

    Output: ``inputs``, :class:`~nclr_plugin.structures.Views`, and ``data_samples``.

    Raises:
        ValueError: If the images of the batch differ in size, or given voxels have another size.
    """

    def __init__(self,
                 mean: Sequence[float] = (123.675, 116.28, 103.53),
                 std: Sequence[float] = (58.395, 57.12, 57.375),
                 voxel_size: Sequence[float] = (0.05, 0.05, 0.05),
                 max_voxels: int | None = None) -> None:
        super().__init__(non_blocking=True)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), False)
        self.voxel_size = tuple(voxel_size)
        self.max_voxels = max_voxels

    def forward(self, data: dict, training: bool = False) -> dict:
        """Return the batch as the network takes it; see the class."""
        self._check_voxel_size(data['inputs'])
        inputs = self.cast_data(data['inputs'])
        imgs = inputs['imgs']
        samples = data.get('data_samples')  # all they have for the device is copied below
        check_image_sizes(imgs, samples)
        voxels = inputs.get('voxels')
        if voxels is None:
            voxels = voxelize(inputs['points'], self.voxel_size, inputs.get('scan_centre'))
        if training and self.max_voxels is not None:
            voxels = voxels.limit(self.max_voxels)
        scan_of_view = tuple(scan for scan, img in enumerate(imgs) for _ in img)
        views = Views(
            imgs=(torch.cat(imgs).float() - self.mean) / self.std,
            view_batch_index=constant(scan_of_view, torch.int64, imgs[0].device),
            voxels=voxels,
            cam2img=self._concatenate(samples, 'cam2img'),
            lidar2cam=self._concatenate(samples, 'lidar2cam'))
        return dict(inputs=views, data_samples=samples)

    def _check_voxel_size(self, inputs: dict) -> None:
        """Raise if the inputs have voxels of another size."""
        if 'voxels' in inputs:  # before they are on a GPU, for which this would wait
            found, expected = inputs['voxels'].voxel_size, torch.tensor(self.voxel_size)
            if not torch.equal(found.cpu(), expected.to(found)):
                raise ValueError(f'voxel_size: expected {self.voxel_size}, as of the data '
                                 f'preprocessor, found {tuple(found.tolist())} in the batch: give '
                                 'voxel_collate the same.')

    def _concatenate(self, samples: list | None, key: str) -> Tensor | None:
        """Return a field of all samples (V, ...) float32, ``None`` where one does not have it."""
        if samples is None or not all(key in sample for sample in samples):
            return None
        return to_device(torch.cat([sample.get(key) for sample in samples]).float(), self.device)
