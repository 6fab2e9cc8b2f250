"""mmdet3d's voxels for MinkUNet on any device."""
from __future__ import annotations

from typing import Sequence

import torch
import torch.nn.functional as F
from mmdet3d.models.data_preprocessors import Det3DDataPreprocessor
from torch import Tensor


class SegDataPreprocessor(Det3DDataPreprocessor):
    """mmdet3d's ``Det3DDataPreprocessor``, whose voxels for MinkUNet stay on the points' device.

    mmdet3d always moves the indices to CUDA. The result is the same: a voxel holds the values and
    the label of its first point in the file; indices are rounded and start at 0 in each scan.
    Points without a label take part like all others.

    The arguments are mmdet3d's. Only ``voxel_type='minkunet'`` with ``batch_first=True`` (spconv)
    differs.
    """

    @torch.no_grad()
    def voxelize(self, points: list[Tensor], data_samples: Sequence) -> dict[str, Tensor]:
        """Voxelise B scans (N_b, C): ``voxels`` (M, C) and ``coors`` (M, 4), ``batch, x, y, z``.

        Sets ``batch_idx`` (M_b,) and ``point2voxel_map`` (N_b,) of each data sample, and
        ``gt_pts_seg.voxel_semantic_mask`` (M_b,) where there are labels.
        """
        if self.voxel_type != 'minkunet' or not self.batch_first:
            return super().voxelize(points, data_samples)
        voxels, coors = [], []
        size = points[0].new_tensor(self.voxel_layer.voxel_size)
        for i, (scan, sample) in enumerate(zip(points, data_samples)):
            index = torch.round(scan[:, :3] / size).int()
            index -= index.min(0)[0]
            first, point2voxel = self.sparse_quantize(
                index.cpu().numpy(), return_index=True, return_inverse=True)
            first = torch.from_numpy(first).to(scan.device)
            if self.training and self.max_voxels is not None and len(first) > self.max_voxels:
                first = first[torch.randperm(len(first), device=scan.device)[:self.max_voxels]]
            if 'pts_semantic_mask' in sample.gt_pts_seg:
                labels = sample.gt_pts_seg.pts_semantic_mask
                sample.gt_pts_seg.voxel_semantic_mask = labels[first]
            voxels.append(scan[first])
            coors.append(F.pad(index[first], (1, 0), value=i))
            sample.batch_idx = coors[-1][:, 0]
            sample.point2voxel_map = torch.from_numpy(point2voxel).to(scan.device).long()
        return dict(voxels=torch.cat(voxels), coors=torch.cat(coors))
