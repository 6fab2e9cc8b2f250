"""Compute what metrics and pictures need besides the poses: overlap, features, Tables 7 and 8."""
from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from ..layers.batching import evenly_spaced_subset


@torch.no_grad()
def inspect_features(model: Any, views: Any, features: Any) -> list[dict[str, Any]]:
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
    truth = model.ground_truth(views, features)
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


def _match_true_overlap(model: Any, features: Any, truth: Any,
                        points: Tensor) -> list[BaseDataElement]:
    """Match truly overlapping points by cosine and by learned similarity, hard and soft."""
    head, centres = model.matching_head, features.centres
    _, pixel_mask = model.predicted_overlap(features)
    columns, valid = evenly_spaced_subset(truth.visible, model.num_test_points)
    valid = valid & pixel_mask.any(1, keepdim=True)
    idx = features.view_voxels.take(columns)
    points = points[idx]
    true_pixels = truth.take_pixels(columns)
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
            for view, keep in enumerate(valid)]


def _cosine_at_cell(points: Tensor, pixels: Tensor, cell: Tensor) -> Tensor:
    """Return the cosine (V, K) of points (V, K, D) and the pixels (V, L, D) at cells (V, K)."""
    at_cell = pixels.gather(1, cell[..., None].expand(-1, -1, pixels.shape[-1]))
    return F.cosine_similarity(points, at_cell, dim=-1)
