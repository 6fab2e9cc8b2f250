"""mmdet3d's MinkUNet for panoptic segmentation and linear probing, and its voxels."""
from __future__ import annotations

from typing import Any, Sequence

import torch
import torch.nn.functional as F
from mmdet3d.models.data_preprocessors import Det3DDataPreprocessor
from mmdet3d.models.segmentors import MinkUNet
from mmdet3d.registry import MODELS
from mmdet3d.structures.det3d_data_sample import SampleList
from torch import Tensor

from ..layers.voxelization import unique
from .grouping import group_instances


class PanopticMinkUNet(MinkUNet):
    """mmdet3d's ``MinkUNet`` that also segments the instances of thing classes.

    Paper, section 4.4: points of thing classes are moved by predicted offsets to the centres of
    their objects and clustered there by mean shift.

    Args:
        offset_head: Config of an :class:`~nclr_plugin.models.heads.OffsetHead`.
        test_cfg: ``bandwidth`` (metres) and ``min_points`` of the clusters, see
            :func:`~nclr_plugin.models.segmentors.group_instances`.
        kwargs: Arguments of mmdet3d's class.

    ``data_samples`` need ``gt_pts_seg`` with ``pts_semantic_mask`` and ``pts_instance_mask``
    (0: no instance) for the loss, and get both in ``pred_pts_seg``.
    """

    def __init__(self, offset_head: dict, test_cfg: dict, **kwargs) -> None:
        super().__init__(test_cfg=test_cfg, **kwargs)
        self.offset_head = MODELS.build(offset_head)

    def loss(self, inputs: dict, data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses of both heads."""
        feats = self.extract_feat(inputs)
        losses = self.decode_head.loss(feats, data_samples, self.train_cfg)
        truth = [sample.gt_pts_seg for sample in data_samples]
        losses.update(
            self.offset_head.loss(
                self._centres(feats, inputs, data_samples), inputs['points'],
                [seg.pts_semantic_mask for seg in truth],
                [seg.pts_instance_mask for seg in truth]))
        return losses

    def predict(self, inputs: dict, data_samples: SampleList) -> SampleList:
        """Predict classes and instances of all points, in ``pred_pts_seg``.

        Raises:
            FloatingPointError: If the network has diverged.
        """
        feats = self.extract_feat(inputs)
        logits = self.decode_head.predict(feats, data_samples)
        centres = self._centres(feats, inputs, data_samples)
        if not all(centre.isfinite().all() for centre in centres):
            raise FloatingPointError(
                'PanopticMinkUNet: expected finite centres of objects, found NaN or infinity: the '
                'network has diverged; train it with a lower learning rate '
                '(--cfg-options optim_wrapper.optimizer.lr=0.02).')
        data_samples = self.postprocess_result([x.transpose(0, 1) for x in logits], data_samples)
        for sample, centre in zip(data_samples, centres):
            prediction = sample.pred_pts_seg
            semantic, instance = group_instances(
                centre.cpu().numpy(), prediction.pts_semantic_mask.cpu().numpy(),
                self.offset_head.thing_classes, **self.test_cfg)
            prediction.pts_semantic_mask = torch.from_numpy(semantic).to(centre.device)
            prediction.pts_instance_mask = torch.from_numpy(instance).to(centre.device)
        return data_samples

    def _centres(self, feats: Tensor, inputs: dict, data_samples: SampleList) -> list[Tensor]:
        """Return the predicted centre of each point's object: B scans (N_b, 3), metres."""
        voxels = inputs['voxels']['voxels'][:, :3] + self.offset_head(feats)
        scan = torch.cat([sample.batch_idx for sample in data_samples])
        centres = []
        for index, sample in enumerate(data_samples):
            of_scan = voxels[scan == index]
            if sample.point2voxel_map.max() >= len(of_scan):
                raise ValueError(
                    'data_preprocessor.max_voxels: expected None, since points of dropped voxels '
                    'have no offset, found a limit that a scan exceeds; thin the points in the '
                    "pipeline instead, by dict(type='PointSample', num_points=...).")
            centres.append(of_scan[sample.point2voxel_map])
        return centres


class LinearProbeMinkUNet(MinkUNet):
    """mmdet3d's ``MinkUNet`` with a frozen backbone: a linear classifier on its features.

    Parameters and BatchNorm statistics of the backbone stay as they were loaded; only the head
    learns. The arguments are mmdet3d's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> 'LinearProbeMinkUNet':
        """Set the mode of all but the backbone, which stays in evaluation."""
        super().train(mode)
        self.backbone.eval()
        return self


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
            first, point2voxel = first_points(index)
            if self.training and self.max_voxels is not None and len(first) > self.max_voxels:
                first = first[torch.randperm(len(first), device=scan.device)[:self.max_voxels]]
            if 'pts_semantic_mask' in sample.gt_pts_seg:
                labels = sample.gt_pts_seg.pts_semantic_mask
                sample.gt_pts_seg.voxel_semantic_mask = labels[first]
            voxels.append(scan[first])
            coors.append(F.pad(index[first], (1, 0), value=i))
            sample.batch_idx = coors[-1][:, 0]
            sample.point2voxel_map = point2voxel
        return dict(voxels=torch.cat(voxels), coors=torch.cat(coors))


def first_points(index: Tensor) -> tuple[Tensor, Tensor]:
    """Find the voxels of points, in the order of mmdet3d's ``sparse_quantize``.

    Args:
        index: (N, 3) integer indices of the points, not negative.

    Returns:
        The first point (M,) of each voxel, and the voxel (N,) of each point.
    """
    index = index.long()
    extent = index.amax(0) + 1
    key = (index[:, 0] * extent[1] + index[:, 1]) * extent[2] + index[:, 2]
    _, point2voxel, counts = unique(key)
    number = torch.arange(len(key), device=key.device)
    first = number.new_zeros(len(counts)).scatter_reduce_(
        0, point2voxel, number, 'amin', include_self=False)
    return first, point2voxel
