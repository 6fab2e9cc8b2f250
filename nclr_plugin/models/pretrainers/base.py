"""Base class of the calibration networks: forward pass and prediction."""
from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache, partial
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor

from ...geometry.camera import sector_columns
from ...structures import CalibrationDataSample, Views
from ..heads.matching_head import PixelMatches
from ..heads.yaw_head import YawPrediction, column_codes
from ..layers.batching import evenly_spaced_subset, group_voxels_by_view
from ..layers.voxelization import VoxelBatch
from .features import Features, GroundTruth, inspect_features

POSE_LOSSES = ('loss_pose', 'loss_reprojection')


class CalibrationModel(BaseModel):
    """Base of the networks that find the pose between a scan and its images.

    A subclass sets ``image_branch``, ``matching_head`` and ``loss_weights``, calls
    :meth:`build_heads`, and implements :meth:`extract_features`, :meth:`match_points` and
    :meth:`loss`.

    Args:
        num_samples: Number of points per view for the matching losses.
        positive_margin: r_p, cells of the stride-4 map: a point whose nearest cell centre is
            farther away has no positive.
        negative_margin: r_n, cells: nearer pairs are not negatives.
        overlap_dilation: Cells by which projected points are dilated into a dense overlap area.
        num_test_points: Largest number of points matched at test time.
        loss_balancer: Config of a loss balancer, such as
            :class:`~nclr_plugin.models.losses.GradNorm`; ``None``: the losses are added up.
        data_preprocessor: Config of the data preprocessor.

    Attributes:
        pose_loss_scale: Factor of the pose losses (``POSE_LOSSES``), 0 to 1, applied after the
            balancer. ``PoseLossScheduleHook`` sets it: matches of an untrained network all lie near
            the image centre, and their poses mean nothing. At 0 no pose is solved.
    """

    def __init__(self,
                 num_samples: int = 1024,
                 positive_margin: float = 1.,
                 negative_margin: float = 2.,
                 overlap_dilation: int = 1,
                 num_test_points: int = 4096,
                 loss_balancer: dict | None = None,
                 data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.num_samples = num_samples
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.overlap_dilation = overlap_dilation
        self.num_test_points = num_test_points
        self.loss_balancer = loss_balancer and MODELS.build(loss_balancer)
        self.pose_loss_scale = 1.

    def build_heads(self, channels: dict[str, int], yaw_channels: dict[str, int],
                    overlap_head: dict | None, yaw_head: dict | None,
                    pose_head: dict | None) -> None:
        """Build all heads but the matching head.

        Args:
            channels: ``point_channels`` and ``pixel_channels`` of the decoded features.
            yaw_channels: The same of the yaw head's inputs.
            overlap_head: Config; ``None``: no overlap detection.
            yaw_head: Config; ``None``: no yaw prediction.
            pose_head: Config; ``None``: the default one.
        """
        self.yaw_head = yaw_head and MODELS.build(dict(**yaw_channels, **yaw_head))
        bearing_channels = 2 * self.yaw_head.num_harmonics if yaw_head else 0
        self.overlap_head = overlap_head and MODELS.build(
            dict(**channels, bearing_channels=bearing_channels, **overlap_head))
        self.pose_head = MODELS.build(pose_head or dict(type='PoseHead'))

    def forward(self, inputs: Views, data_samples: list | None = None, mode: str = 'tensor',
                hypothesis: int = 0) -> Any:
        """Run the network on the output of the data preprocessor.

        Args:
            inputs: The batch.
            data_samples: One ``CalibrationDataSample`` per scan.
            mode: ``'loss'`` (dict of losses), ``'predict'`` (the data samples with poses and
                matches) or ``'tensor'`` (the features).
            hypothesis: In evaluation, rank of the predicted yaw to use: 0 for the best.
        """
        features = self.extract_features(inputs, hypothesis)
        if mode == 'loss':
            truth = GroundTruth.project(inputs, features, self.overlap_dilation)
            return self.loss(inputs, features, truth)
        if mode == 'predict':
            return self.predict(inputs, features, data_samples)
        return features

    @abstractmethod
    def extract_features(self, views: Views, hypothesis: int = 0) -> Features:
        """Encode both sides, fuse, decode, and apply the heads."""

    @abstractmethod
    def loss(self, views: Views, features: Features, truth: GroundTruth) -> dict[str, Tensor]:
        """Return the weighted losses by name."""

    @abstractmethod
    def match_points(self, views: Views, features: Features, slots: Tensor,
                     pixel_mask: Tensor) -> PixelMatches:
        """Match some voxels of each view.

        Args:
            views: The batch.
            features: Its features.
            slots: (V, K), slots of ``features.view_voxels``.
            pixel_mask: (V, H' W') bool, cells in the predicted overlap.

        Returns:
            The matches (V, K).
        """

    @property
    def has_pose_loss(self) -> bool:
        """Whether poses are solved in this step: weight and scale of their losses are above 0."""
        return self.loss_weights['pose'] * self.pose_loss_scale > 0

    def embed_points(self, features: Features, slots: Tensor) -> Tensor:
        """Return the normalised features (V, K, D) of some voxels of each view (V, K)."""
        idx = features.view_voxels.take(slots).flatten()
        embedded = self.matching_head.embed_points(
            features.points.index_select(0, idx),
            features.voxels.relative_points.index_select(0, idx))
        return embedded.view(*slots.shape, -1)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, float]:
        """Train one step as mmengine does, and read the losses for the log in one transfer."""
        losses = super().train_step(data, optim_wrapper)
        return dict(zip(losses, torch.stack([value.float() for value in losses.values()]).tolist()))

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses as mmengine does, weighted by the balancer if there is one."""
        if self.loss_balancer is not None:
            losses = self.loss_balancer(losses, self)
        # The balancer must not see the scale: it would read its rise as a task that gets worse.
        return super().parse_losses({
            name: self.pose_loss_scale * value if name in POSE_LOSSES else value
            for name, value in losses.items()})

    def predict_yaw(self, views: Views, voxels: VoxelBatch, feats: Tensor, pixel_map: Tensor,
                    hypothesis: int) -> YawPrediction:
        """Predict where the cameras look from features of both encoders.

        Args:
            views: The batch.
            voxels: N of its voxels.
            feats: (N, C_P), their features.
            pixel_map: (V, C_I, H, W), a map of the image encoder.
            hypothesis: Rank of the yaw to use in evaluation.
        """
        columns = sector_columns(views.cam2img, self.yaw_head.num_sectors,
                                 views.imgs.shape[-1] / pixel_map.shape[-1])
        return self.yaw_head(feats, voxels.relative_points, voxels.batch_index, pixel_map, columns,
                             views.view_batch_index, views.batch_size, hypothesis)

    def apply_heads(self, views: Views, voxels: VoxelBatch, points: Tensor, pixel_feats: Tensor,
                    yaw: YawPrediction | None) -> Features:
        """Score and embed decoded features (N, C_P) of voxels and maps (V, C_I, H', W')."""
        grid = views.grid(self.image_branch.stride)
        view_voxels = group_voxels_by_view(voxels.counts, views.view_batch_index)
        point_logits = pixel_logits = None
        if self.overlap_head is not None:
            bearing = yaw and yaw.bearing_codes(voxels.relative_points, view_voxels)
            point_logits, pixel_logits = self.overlap_head(
                points, pixel_feats, view_voxels, bearing)
        pixels = self.matching_head.embed_pixels(
            pixel_feats, column_codes(yaw, views, pixel_feats.shape[-1]))
        return Features(voxels, points, pixels, grid, view_voxels, point_logits, pixel_logits,
                        yaw)

    def overlap_and_yaw_losses(self, views: Views, features: Features,
                               truth: GroundTruth) -> dict[str, Tensor]:
        """Return the weighted losses of the overlap and the yaw head, if there are any."""
        losses = {}
        if self.overlap_head is not None:
            losses['loss_overlap'] = self.loss_weights['overlap'] * self.overlap_head.loss(
                features.point_logits, truth.visible, features.view_voxels.mask,
                features.pixel_logits, truth.pixel_labels)
        if self.yaw_head is not None:
            losses['loss_yaw'] = self.loss_weights['yaw'] * self.yaw_head.loss(
                features.yaw, views.lidar2cam)
        return losses

    def predicted_overlap(self, features: Features) -> tuple[Tensor, Tensor]:
        """Return the points (V, L) and pixels (V, H' W') that score above the thresholds."""
        mask = features.view_voxels.mask
        if self.overlap_head is None:
            return mask, mask.new_ones(features.pixels.shape[:2])
        point_threshold, pixel_threshold = self.overlap_head.thresholds
        points = features.point_logits.float().sigmoid() > point_threshold
        pixels = features.pixel_logits.float().sigmoid() > pixel_threshold
        return points & mask, pixels.flatten(1)

    @torch.no_grad()
    def predict(self, views: Views, features: Features,
                data_samples: list[CalibrationDataSample]) -> list[CalibrationDataSample]:
        """Solve for the poses from matches within the predicted overlap.

        Sets ``pred_lidar2cam`` (V, 4, 4), ``pred_valid`` (V,), ``pred_inlier_ratio`` (V,),
        ``pred_reprojection_error`` (V,) in pixels, ``pred_matches`` and, with a yaw head,
        ``pred_yaw_probs`` (V, 2) in each sample. What metrics and pictures need besides is
        computed on request, where the true poses are known; see
        :func:`~nclr_plugin.structures.inspection`.
        """
        point_mask, pixel_mask = self.predicted_overlap(features)
        slots, valid = evenly_spaced_subset(point_mask, self.num_test_points)
        matches = self.match_points(views, features, slots, pixel_mask)
        points = features.voxels.points[features.view_voxels.take(slots)]
        view_matches = [
            BaseDataElement(points=points[view][keep], pixels=matches.pixels[view][keep],
                            scores=matches.similarity[view][keep])
            for view, keep in enumerate(valid & matches.valid)]
        poses = [self.pose_head.predict(of_view.points, of_view.pixels, cam2img)
                 for of_view, cam2img in zip(view_matches, views.cam2img)]
        probs = features.yaw and self.yaw_head.hypothesis_probs(features.yaw.logits).cpu()

        inspect = lru_cache(None)(partial(inspect_features, self, views, features))
        scans = views.view_batch_index.tolist()
        for scan, sample in enumerate(data_samples):
            of_scan = [view for view, own in enumerate(scans) if own == scan]
            sample.set_data(self.pose_head.fields([poses[view] for view in of_scan]))
            sample.pred_matches = [view_matches[view] for view in of_scan]
            if probs is not None:
                sample.pred_yaw_probs = probs[of_scan]
            if views.lidar2cam is not None:
                sample.inspect = partial(_item, inspect, scan)
        return data_samples


def _item(inspect: Any, scan: int) -> dict[str, Any]:
    return inspect()[scan]
