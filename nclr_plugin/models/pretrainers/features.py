"""Features of a batch, their ground truth, and what metrics and pictures need of both."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from ...geometry.camera import CellGrid, in_view, project_points
from ...structures import Views
from ..heads.yaw_head import YawPrediction
from ..layers.batching import ViewVoxels, evenly_spaced_subset
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

    @classmethod
    @torch.no_grad()
    def project(cls, views: Views, features: Features, dilation: int) -> GroundTruth:
        """Project the voxels under the true pose, and label the overlap.

        Args:
            views: The batch, with ``lidar2cam``.
            features: Its features.
            dilation: Cells by which projected points are dilated into a dense overlap area.
        """
        grid, view_voxels = features.grid, features.view_voxels
        pixels, depth = project_points(
            features.voxels.points[view_voxels.idx], views.lidar2cam, views.cam2img)
        visible = in_view(pixels, depth, grid.height, grid.width) & view_voxels.mask
        return cls(pixels, visible, grid.covered(pixels, visible, dilation))

    def take_pixels(self, slots: Tensor) -> Tensor:
        """Return the projections (V, K, 2) of some slots (V, K)."""
        return self.pixels.take_along_dim(slots[..., None], 1)


@torch.no_grad()
def inspect_features(model: Any, views: Views, features: Features) -> list[dict[str, Any]]:
    """Compute overlap, matches and features beside their ground truth.

    Args:
        model: A :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.
        views: Its batch, with ``lidar2cam``.
        features: Its features of the batch.

    Returns:
        For each scan the fields that ``CalibrationDataSample`` documents: ``voxel_points``,
        ``pred_/gt_point_overlap``, ``pred_/gt_pixel_overlap``, ``overlap_thresholds``,
        ``matchings``, ``features``.
    """
    truth = GroundTruth.project(views, features, model.overlap_dilation)
    voxels, view_voxels = features.voxels, features.view_voxels
    points = model.matching_head.embed_points(features.points, voxels.relative_points)
    matchings = _match_true_overlap(model, features, truth, points)
    aligned_points, aligned_pixels = model.matching_head.aligned_features(points, features.pixels)
    scans = []
    for scan in range(views.batch_size):
        of_scan = (views.view_batch_index == scan).nonzero()[:, 0]
        mask = view_voxels.mask[of_scan[0]]
        idx = view_voxels.idx[of_scan[0]][mask]
        fields = dict(
            voxel_points=voxels.points[idx].cpu(),
            gt_point_overlap=truth.visible[of_scan][:, mask].cpu(),
            gt_pixel_overlap=truth.pixel_labels[of_scan].cpu(),
            matchings=[matchings[view] for view in of_scan.tolist()],
            features=BaseDataElement(
                points=points[idx].cpu(), pixels=features.pixels[of_scan].cpu(),
                aligned_points=aligned_points[idx].cpu(),
                aligned_pixels=aligned_pixels[of_scan].cpu()))
        if model.overlap_head is not None:
            fields.update(
                pred_point_overlap=features.point_logits[of_scan][:, mask].float().sigmoid().cpu(),
                pred_pixel_overlap=features.pixel_logits[of_scan].float().sigmoid().cpu(),
                overlap_thresholds=torch.as_tensor(model.overlap_head.thresholds).cpu())
        scans.append(fields)
    return scans


def _match_true_overlap(model: Any, features: Features, truth: GroundTruth,
                        points: Tensor) -> list[BaseDataElement]:
    """Match truly overlapping points by cosine and by learned similarity, hard and soft."""
    head, centres = model.matching_head, features.centres
    _, pixel_mask = model.predicted_overlap(features)
    slots, valid = evenly_spaced_subset(truth.visible, model.num_test_points)
    idx = features.view_voxels.take(slots)
    points = points[idx]
    true_pixels = truth.take_pixels(slots)
    fields = dict(points=features.voxels.points[idx], true_pixels=true_pixels)
    cell, _ = features.grid.nearest(true_pixels)
    for name, aligned in (('cosine', False), ('learned', True)):
        if aligned and head.alignment_weight is None:
            continue
        matches = head.match(points, features.pixels, centres, pixel_mask, 'soft', aligned)
        fields[f'{name}_hard'] = centres[matches.cell]
        fields[f'{name}_soft'] = matches.pixels
        pair = head.aligned_features(points, features.pixels) if aligned else (
            points, features.pixels)
        fields[f'{name}_similarity'] = _cosine_at_cell(*pair, cell)
    return [BaseDataElement(**{name: value[view][keep].cpu() for name, value in fields.items()})
            for view, keep in enumerate(valid & matches.valid)]


def _cosine_at_cell(points: Tensor, pixels: Tensor, cell: Tensor) -> Tensor:
    """Return the cosine (V, K) of points (V, K, D) and the pixels (V, L, D) at cells (V, K)."""
    return F.cosine_similarity(points, pixels.take_along_dim(cell[..., None], 1), dim=-1)
