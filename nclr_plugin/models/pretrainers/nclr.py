"""NCLR: self-supervised pretraining by 2D-3D neural calibration (arXiv 2401.12452)."""
from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

from mmengine.registry import MODELS
from torch import Tensor

from ..heads.direction_head import Direction
from ..heads.matching_head import Matches
from ..losses.info_nce import pixel_to_point_loss, point_to_pixel_loss
from ..sampling import sample_columns
from ..voxelization import containing_rows
from .base import CalibrationModel, Features, GroundTruth, columns_of

DIRECTION_LEVEL = -2  # of both encoders: a step finer than the bottleneck


@MODELS.register_module()
class NCLR(CalibrationModel):
    """Estimates which points and pixels both sensors see, matches them and solves for the pose.

    ``alignment=False`` in the matching head, no ``overlap_head`` and ``loss_weights=dict(pose=0)``
    give the rows of the paper's Table 6.

    Args:
        point_backbone: Config of a backbone with ``encode``, ``decode``, ``stride``,
            ``bottleneck_channels`` and ``out_channels``; this is what pretraining is for.
        image_branch: Config of an image network with the same attributes.
        fusion: Config of :class:`~nclr_plugin.models.necks.CrossModalFusion`; channels are
            filled in here, as in the heads.
        matching_head, overlap_head, direction_head, pose_head: Configs of the heads.
        content_head: Config of :class:`~nclr_plugin.models.heads.ContentHead`, for features that
            are to be of use without an image; ``None``: as in the paper.
        loss_weights: lambda_f, lambda_o and lambda_p as ``feature``, ``overlap``, ``pose``, the
            weight of the direction's cross-entropy as ``direction``, that of the content
            head's Eq. 1 as ``content``.
        kwargs: Of :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.
    """

    def __init__(self,
                 point_backbone: dict,
                 image_branch: dict,
                 fusion: dict,
                 matching_head: dict,
                 overlap_head: Optional[dict] = None,
                 direction_head: Optional[dict] = None,
                 pose_head: Optional[dict] = None,
                 content_head: Optional[dict] = None,
                 loss_weights: Optional[Dict[str, float]] = None,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.point_backbone = MODELS.build(point_backbone)
        self.image_branch = MODELS.build(image_branch)
        self.fusion = MODELS.build(
            dict(
                point_channels=self.point_backbone.bottleneck_channels,
                pixel_channels=self.image_branch.bottleneck_channels,
                **fusion))
        channels = dict(
            point_channels=self.point_backbone.out_channels,
            pixel_channels=self.image_branch.out_channels)
        self.matching_head = MODELS.build(dict(**channels, **matching_head))
        self.content_head = content_head and MODELS.build(dict(**channels, **content_head))
        self.build_heads(
            channels,
            dict(
                point_channels=self.point_backbone.level_channels[DIRECTION_LEVEL],
                pixel_channels=self.image_branch.level_channels[DIRECTION_LEVEL]),
            overlap_head, direction_head, pose_head)
        self.loss_weights = {
            **dict(feature=1., overlap=.5, pose=.2, direction=.5, content=.5),
            **(loss_weights or {})}

    def extract_features(self, inputs: dict) -> Features:
        """Section 3.2: encode both sides, fuse, decode, and apply the heads."""
        voxels, views = inputs['voxels'], inputs['view_batch_index']
        batch_size = len(voxels.origin)
        levels = self.point_backbone.encode(voxels.feats, voxels.coors)
        maps = self.image_branch.encode(inputs['imgs'])

        direction = self.direction(inputs, levels[DIRECTION_LEVEL], maps[DIRECTION_LEVEL])
        bottleneck = levels[-1].indices
        fused_points, fused_map = self.fusion(
            levels[-1].features, voxels.centres(bottleneck, self.point_backbone.stride),
            bottleneck[:, 0].long(), maps[-1], self.column_codes(inputs, maps[-1], direction),
            views, batch_size)

        point_feats = self.point_backbone.decode(levels, fused_points)
        pixel_feats = self.image_branch.decode([*maps[:-1], fused_map])
        features = self.compare(inputs, point_feats, pixel_feats, direction)
        return features._replace(encoded=(levels, maps))

    def direction(self, inputs: dict, level: Any, pixel_map: Tensor) -> Optional[Direction]:
        """Which way the views look, from a level of the point encoder and one of the image's."""
        if self.direction_head is None:
            return None
        voxels = inputs['voxels']
        stride = self.point_backbone.stride // 2**(-1 - DIRECTION_LEVEL)
        row = containing_rows(voxels.coors, level.indices, stride)
        return self.direction_head(
            level.features[row], voxels.relative_points, voxels.batch_index, pixel_map,
            self.sector_columns(inputs, pixel_map), inputs['view_batch_index'],
            len(voxels.origin))

    def loss(self, inputs: dict, features: Features) -> Dict[str, Tensor]:
        """Section 3.6: lambda_f L_f + lambda_o L_o + lambda_p L_p, as a dict of weighted terms."""
        truth = self.ground_truth(inputs, features)
        losses = self.feature_losses(inputs, features, truth)
        losses.update(self.overlap_and_direction_losses(inputs, features, truth))
        weight = self.loss_weights['pose']
        if weight * self.pose_loss_scale > 0:
            losses['loss_pose'] = weight * self.pose_loss(inputs, features)
        return losses

    def feature_losses(self, inputs: dict, features: Features,
                       truth: GroundTruth) -> Dict[str, Tensor]:
        """Weighted Eq. 1, both ways, on points sampled inside the true overlap; the content's."""
        drawn, valid = sample_columns(truth.visible, self.num_samples)
        logits, distance, cell, valid = self.pairs(inputs, features, truth, drawn, valid)
        margin = self.negative_margin * self.image_branch.stride
        weight = self.loss_weights['feature']
        losses = dict(
            loss_point=weight * point_to_pixel_loss(logits, cell, distance, valid, margin),
            loss_pixel=weight * pixel_to_point_loss(
                columns_of(logits, cell), columns_of(distance, cell), valid, margin))
        if self.content_head is not None:
            levels, maps = features.encoded
            points = self.point_backbone.decode(levels, levels[-1].features)
            logits = self.content_head(points[features.seen.voxel.gather(1, drawn)],
                                       self.image_branch.decode(maps))
            losses['loss_content'] = self.loss_weights['content'] * (
                point_to_pixel_loss(logits, cell, distance, valid, margin) +
                pixel_to_point_loss(
                    columns_of(logits, cell), columns_of(distance, cell), valid, margin))
        return losses

    def pose_loss(self, inputs: dict, features: Features) -> Tensor:
        """Eq. 4-7: soft matches of points in the predicted overlap, EPnP, Huber loss."""
        overlapping, permitted = self.predicted_overlap(features)
        drawn, valid = sample_columns(overlapping, self.pose_head.num_points)
        row = features.seen.voxel.gather(1, drawn)
        matches = self.matching_head.match(
            self.embed_points(inputs, features, row), features.pixels,
            self.pixel_centres(inputs), permitted, 'soft')
        valid = valid & permitted.any(1, keepdim=True)
        return self.pose_head.loss(inputs['voxels'].points[row], matches.pixels, valid,
                                   inputs['cam2img'], inputs['lidar2cam'])[0]

    def match_points(self, inputs: dict, features: Features, drawn: Tensor,
                     permitted: Tensor) -> Tuple[Matches, Tensor]:
        """Matches of some voxels of each view; see the base class."""
        points = self.embed_points(inputs, features, features.seen.voxel.gather(1, drawn))
        matches = self.matching_head.match(
            points, features.pixels, self.pixel_centres(inputs), permitted)
        return matches, permitted.any(1, keepdim=True).expand_as(drawn)
