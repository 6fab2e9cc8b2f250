"""NCLR: self-supervised pretraining by 2D-3D neural calibration (arXiv 2401.12452)."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ...structures import Views
from ..heads.matching_head import PixelMatches
from ..heads.yaw_head import YawPrediction, column_codes
from ..layers.batching import random_subset
from ..layers.voxelization import VoxelBatch, containing_rows
from ..losses.contrastive_loss import pixel_targets
from .base import CalibrationModel
from .features import Features, GroundTruth

YAW_LEVEL = -2  # of both encoders: one step finer than the bottleneck


@dataclass
class NCLRFeatures(Features):
    """Features of NCLR.

    Attributes:
        rows: (N,) rows of the batch's voxels that ``points`` are features of; ``None``: all.
        levels: Levels of the point encoder, before fusion.
        maps: Maps of the image encoder, before fusion.
    """
    rows: Tensor | None
    levels: list
    maps: list[Tensor]


@MODELS.register_module()
class NCLR(CalibrationModel):
    """Estimate which points and pixels both sensors see, match them and solve for the pose.

    ``alignment=False`` in the matching head, no ``overlap_head`` and ``loss_weights=dict(pose=0)``
    give the rows of the paper's Table 6.

    Args:
        point_backbone: Config of a backbone with ``encode``, ``decode``, ``stride``,
            ``bottleneck_channels`` and ``out_channels``: the network that is pretrained.
        image_branch: Config of an image network with the same attributes.
        fusion: Config of :class:`~nclr_plugin.models.necks.CrossModalFusion`; channels are
            filled in here, as in the heads.
        matching_head: Config of :class:`~nclr_plugin.models.heads.MatchingHead`.
        overlap_head: Config of :class:`~nclr_plugin.models.heads.OverlapHead`.
        yaw_head: Config of :class:`~nclr_plugin.models.heads.YawHead`.
        pose_head: Config of :class:`~nclr_plugin.models.heads.PoseHead`.
        position_free_head: Config of
            :class:`~nclr_plugin.models.heads.PositionFreeContrastiveHead`, which trains features
            without positions and without fusion; ``None``: as in the paper.
        loss_weights: lambda_f, lambda_o and lambda_p as ``feature``, ``overlap``, ``pose``; the
            weight of the yaw's cross-entropy as ``yaw``, of the position-free head's Eq. 1
            as ``position_free``.
        num_voxels: Largest number of voxels of a scan, a random subset, that the heads get in
            training, and from which the yaw is always predicted. It has to suffice for the samples
            of all losses.
        kwargs: Arguments of :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.
    """

    def __init__(self,
                 point_backbone: dict,
                 image_branch: dict,
                 fusion: dict,
                 matching_head: dict,
                 overlap_head: dict | None = None,
                 yaw_head: dict | None = None,
                 pose_head: dict | None = None,
                 position_free_head: dict | None = None,
                 loss_weights: dict[str, float] | None = None,
                 num_voxels: int = 12288,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_voxels = num_voxels
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
        self.position_free_head = position_free_head and MODELS.build(
            dict(**channels, **position_free_head))
        self.build_heads(
            channels,
            dict(
                point_channels=self.point_backbone.level_channels[YAW_LEVEL],
                pixel_channels=self.image_branch.level_channels[YAW_LEVEL]),
            overlap_head, yaw_head, pose_head)
        self.loss_weights = {
            **dict(feature=1., overlap=.5, pose=.2, yaw=.5, position_free=.5),
            **(loss_weights or {})}

    def extract_features(self, views: Views, hypothesis: int = 0) -> NCLRFeatures:
        """Encode both sides, fuse, decode, and apply the heads (section 3.2)."""
        voxels = views.voxels
        levels = self.point_backbone.encode(voxels.feats, voxels.coors)
        maps = self.image_branch.encode(views.imgs)

        rows = sampled = None
        if max(voxels.counts) > self.num_voxels:
            rows, counts = voxels.subset(self.num_voxels, at_random=self.training)
            sampled = voxels.take(rows, counts)
        yaw = self.yaw_of_level(views, sampled or voxels, levels[YAW_LEVEL], maps[YAW_LEVEL],
                                hypothesis)
        bottleneck = levels[-1]
        fused_points, fused_map = self.fusion(
            bottleneck.features, voxels.centres(bottleneck.indices, self.point_backbone.stride),
            bottleneck.indices[:, 0].long(), maps[-1],
            column_codes(yaw, views, maps[-1].shape[-1]), views.view_batch_index,
            views.batch_size)

        if not self.training:  # all voxels can be matched
            rows = sampled = None
        point_feats = self.point_backbone.decode(levels, fused_points, rows)
        pixel_feats = self.image_branch.decode([*maps[:-1], fused_map])
        features = self.apply_heads(views, sampled or voxels, point_feats, pixel_feats, yaw)
        return NCLRFeatures(**vars(features), rows=rows, levels=levels, maps=maps)

    def yaw_of_level(self, views: Views, voxels: VoxelBatch, level: Any, pixel_map: Tensor,
                     hypothesis: int) -> YawPrediction | None:
        """Predict where the cameras look from a level of the point encoder and an image map.

        A voxel has the features of the coarse voxel that contains it.
        """
        if self.yaw_head is None:
            return None
        stride = self.point_backbone.stride // 2**(-1 - YAW_LEVEL)
        idx = containing_rows(voxels.coors, level.indices, stride)
        return self.predict_yaw(
            views, voxels, level.features.index_select(0, idx), pixel_map, hypothesis)

    def loss(self, views: Views, features: NCLRFeatures, truth: GroundTruth) -> dict[str, Tensor]:
        """Return the terms of lambda_f L_f + lambda_o L_o + lambda_p L_p (section 3.6)."""
        slots, valid = random_subset(truth.visible, self.num_samples)
        if not self.has_pose_loss:
            losses = self.feature_losses(
                features, truth, slots, valid, self.embed_points(features, slots))
            return {**losses, **self.overlap_and_yaw_losses(views, features, truth)}

        # The points of both losses are embedded at once.
        point_mask, pixel_mask = self.predicted_overlap(features)
        pose_slots, pose_valid = random_subset(point_mask, self.pose_head.num_points)
        sizes = slots.shape[1], pose_slots.shape[1]
        points, pose_points = self.embed_points(
            features, torch.cat((slots, pose_slots), 1)).split(sizes, 1)
        losses = self.feature_losses(features, truth, slots, valid, points)
        losses.update(self.overlap_and_yaw_losses(views, features, truth))
        losses['loss_pose'] = self.loss_weights['pose'] * self.pose_loss(
            views, features, pose_slots, pose_valid, pose_points, pixel_mask)
        return losses

    def feature_losses(self, features: NCLRFeatures, truth: GroundTruth, slots: Tensor,
                       valid: Tensor, points: Tensor) -> dict[str, Tensor]:
        """Compute Eq. 1 both ways on points of the true overlap, also for the position-free head.

        Args:
            features: Features of the batch.
            truth: Its ground truth.
            slots: (V, K), the points sampled, slots of ``features.view_voxels``.
            valid: (V, K) bool, False where fewer were found.
            points: (V, K, D), their embedded features.
        """
        stride = self.image_branch.stride
        targets = pixel_targets(truth.take_pixels(slots), features.grid, valid,
                                self.positive_margin * stride)
        margin = self.negative_margin * stride
        weight = self.loss_weights['feature']
        losses = {name: weight * value for name, value in self.matching_head.loss(
            points, features.pixels, targets, margin).items()}
        if self.position_free_head is not None:
            unfused = self.point_backbone.decode(
                features.levels, features.levels[-1].features, features.rows)
            idx = features.view_voxels.take(slots)
            losses['loss_position_free'] = (
                self.loss_weights['position_free'] * self.position_free_head.loss(
                    unfused[idx], self.image_branch.decode(features.maps), targets, margin))
        return losses

    def pose_loss(self, views: Views, features: NCLRFeatures, slots: Tensor, valid: Tensor,
                  embedded: Tensor, pixel_mask: Tensor) -> Tensor:
        """Compute Eq. 4-7: soft matches of points in the predicted overlap, EPnP, Huber loss.

        Args:
            views: The batch.
            features: Its features.
            slots: (V, K), the points sampled, slots of ``features.view_voxels``.
            valid: (V, K) bool, False where fewer were found.
            embedded: (V, K, D), their embedded features.
            pixel_mask: (V, H' W') bool, cells in the predicted overlap.
        """
        matches = self.matching_head.match(
            embedded, features.pixels, features.centres, pixel_mask, 'soft')
        points = features.voxels.points[features.view_voxels.take(slots)]
        return self.pose_head.loss(points, matches.pixels, valid & matches.valid, views.cam2img,
                                   views.lidar2cam)

    def match_points(self, views: Views, features: NCLRFeatures, slots: Tensor,
                     pixel_mask: Tensor) -> PixelMatches:
        """Match some voxels of each view; see the base class."""
        return self.matching_head.match(
            self.embed_points(features, slots), features.pixels, features.centres, pixel_mask)
