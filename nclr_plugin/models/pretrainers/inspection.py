"""What metrics and pictures need to know of a trained network, beside its poses."""
from __future__ import annotations

from typing import Any

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.nn import functional as F

from nclr_plugin.geometry.correspondence import nearest_cell
from ..sampling import spread_columns


@torch.no_grad()
def inspect_features(model: Any, inputs: dict, features: Any, data_samples: list) -> None:
    """Write overlap, matches and features beside their ground truth into the data samples.

    Args:
        model: An :class:`~nclr_plugin.models.pretrainers.nclr.NCLR`.
        inputs: Its inputs, with ``lidar2cam``.
        features: What it says of them.
        data_samples: One ``CalibrationDataSample`` a scan, whose documentation lists the fields
            set: ``voxel_points``, ``pred_/gt_point_overlap``, ``pred_/gt_pixel_overlap``,
            ``overlap_thresholds``, ``matchings``, ``features``.
    """
    truth = model.ground_truth(inputs, features)
    voxels, seen = inputs['voxels'], features.seen
    points = model.embed_points(inputs, features, torch.arange(len(voxels.points)))
    matchings = _matchings(model, inputs, features, truth, points)
    unified_points, unified_pixels = model.matching_head.unified(points, features.pixels)
    for scan, sample in enumerate(data_samples):
        views = (inputs['view_batch_index'] == scan).nonzero()[:, 0]
        row, present = seen.voxel[views[0]], seen.mask[views[0]]
        row = row[present]
        sample.voxel_points = voxels.points[row].cpu()
        sample.gt_point_overlap = truth.visible[views][:, present].cpu()
        sample.gt_pixel_overlap = truth.pixel_labels[views].cpu()
        if model.overlap_head is not None:
            inside = features.point_logits[views][:, present].float().sigmoid()
            sample.pred_point_overlap = inside.cpu()
            sample.pred_pixel_overlap = features.pixel_logits[views].float().sigmoid().cpu()
            sample.overlap_thresholds = torch.as_tensor(model.overlap_head.thresholds).cpu()
        sample.matchings = [matchings[view] for view in views.tolist()]
        sample.features = BaseDataElement(
            points=points[row].cpu(), pixels=features.pixels[views].cpu(),
            unified_points=unified_points[row].cpu(), unified_pixels=unified_pixels[views].cpu())


def _matchings(model: Any, inputs: dict, features: Any, truth: Any, points: Tensor) -> list:
    """Matches of truly overlapping points, by cosine and by learned similarity, hard and soft."""
    head = model.matching_head
    _, permitted = model.predicted_overlap(features)
    drawn, valid = spread_columns(truth.visible, model.num_test_points)
    valid = valid & permitted.any(1, keepdim=True)
    row = features.seen.voxel.gather(1, drawn)
    points = points[row]
    true_pixels = truth.pixels.gather(1, drawn[..., None].expand(-1, -1, 2))
    found = dict(points=inputs['voxels'].points[row], true_pixels=true_pixels)
    cell = nearest_cell(true_pixels, *inputs['imgs'].shape[-2:], model.image_branch.stride)[0]
    for name, aligned in (('cosine', False), ('learned', True)):
        if aligned and head.alignment_weight is None:
            continue
        for mode in ('hard', 'soft'):
            found[f'{name}_{mode}'] = head.match(
                points, features.pixels, model.pixel_centres(inputs), permitted, mode,
                aligned).pixels
        found[f'{name}_similarity'] = _similarity(
            *(head.unified(points, features.pixels) if aligned else (points, features.pixels)),
            cell)
    return [BaseDataElement(**{name: value[view][keep].cpu() for name, value in found.items()})
            for view, keep in enumerate(valid)]


def _similarity(points: Tensor, pixels: Tensor, cell: Tensor) -> Tensor:
    """(V, K, D) points, (V, L, D) pixels, (V, K) the cell of each point -> (V, K) cosines."""
    own = pixels.gather(1, cell[..., None].expand(-1, -1, pixels.shape[-1]))
    return F.cosine_similarity(points, own, dim=-1)
