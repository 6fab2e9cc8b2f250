"""What the calibration networks have in common: ground truth, overlap, poses, balanced losses."""
from __future__ import annotations

from abc import abstractmethod
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor

from nclr_plugin.geometry.camera import cell_centres, in_view, project_points
from nclr_plugin.geometry.correspondence import nearest_cell, pixel_overlap
from nclr_plugin.geometry.se3 import make_transform
from ..heads.direction_head import Direction
from ..heads.matching_head import Matches
from ..losses.overlap_loss import overlap_loss
from ..position_encoding import azimuth_code, turn_code
from ..ragged import ViewPoints, voxels_of_views
from ..sampling import spread_columns
from .inspection import inspect_features


POSE_LOSSES = ('loss_pose', 'loss_reprojection')


class Features(NamedTuple):
    """What both branches and the heads on top of them say of a batch of V views.

    Attributes:
        points: (N, C_P) decoded voxel features; ``embed_points`` makes them comparable.
        pixels: (V, H' W', D) normalised pixel features, to be compared with points.
        point_logits: (V, L) overlap logits of the voxels each view may see; ``None`` without
            overlap detection.
        pixel_logits: (V, H', W'); ``None`` likewise.
        seen: the voxels each view may see.
        direction: belief on the directions the views look in; ``None`` without that head.
        encoded: both encoders' levels, before fusion; ``None`` where no loss needs them.
    """
    points: Tensor
    pixels: Tensor
    point_logits: Optional[Tensor]
    pixel_logits: Optional[Tensor]
    seen: ViewPoints
    direction: Optional[Direction]
    encoded: Optional[Tuple[list, List[Tensor]]] = None


class GroundTruth(NamedTuple):
    """Where the voxels of each view project under the true pose.

    Attributes:
        pixels: (V, L, 2) input-image pixels.
        visible: (V, L) bool.
        pixel_labels: (V, H', W') bool, cells in the overlapping area.
    """
    pixels: Tensor
    visible: Tensor
    pixel_labels: Tensor


class Pairs(NamedTuple):
    """K sampled points of each view against all cells of the stride-4 map.

    Attributes:
        logits: (V, K, H' W') similarities over the temperature.
        distance: (V, K, H' W') pixels from where the points project to the cells' centres.
        cell: (V, K) the nearest cell.
        valid: (V, K) bool, there is such a point, and its cell is near enough to be its match.
    """
    logits: Tensor
    distance: Tensor
    cell: Tensor
    valid: Tensor


class CalibrationModel(BaseModel):
    """Base of the networks that find the pose between a scan and its images.

    A subclass sets ``image_branch``, ``matching_head`` and ``loss_weights``, calls
    :meth:`build_heads`, and implements :meth:`extract_features`, :meth:`match_points` and
    :meth:`loss`. Its features have the fields of :class:`Features`.

    Args:
        num_samples: Points sampled of a view for the losses of matching.
        positive_margin: r_p, cells of the stride-4 map: a point whose nearest cell centre is
            farther away has no positive.
        negative_margin: r_n, cells: nearer pairs are not negatives.
        overlap_dilation: Cells by which projected points are grown into a dense overlap area.
        num_test_points: Points that are matched at test time, at most.
        loss_balancer: Config of what weighs the losses while training, such as
            :class:`~nclr_plugin.engine.gradnorm.GradNorm`; ``None``: they are added up.
        data_preprocessor: Config of the data preprocessor.

    ``pose_loss_scale`` (0..1) multiplies the pose losses (``POSE_LOSSES``), after the balancer; a
    schedule sets it, because matches from an untrained similarity all lie near the image's centre
    and their poses mean nothing. At 0 there need be none.
    """

    def __init__(self,
                 num_samples: int = 1024,
                 positive_margin: float = 1.,
                 negative_margin: float = 2.,
                 overlap_dilation: int = 1,
                 num_test_points: int = 4096,
                 loss_balancer: Optional[dict] = None,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.num_samples = num_samples
        self.positive_margin = positive_margin
        self.negative_margin = negative_margin
        self.overlap_dilation = overlap_dilation
        self.num_test_points = num_test_points
        self.loss_balancer = loss_balancer and MODELS.build(loss_balancer)
        self.pose_loss_scale = 1.

    def build_heads(self, channels: Dict[str, int], direction_channels: Dict[str, int],
                    overlap_head: Optional[dict], direction_head: Optional[dict],
                    pose_head: Optional[dict]) -> None:
        """Build all heads but the matching head.

        Args:
            channels: ``point_channels`` and ``pixel_channels`` of the decoded features.
            direction_channels: Likewise, of what the direction head sees.
            overlap_head, direction_head: Configs; ``None``: there is none.
            pose_head: Config; ``None``: the default one.
        """
        self.direction_head = direction_head and MODELS.build(
            dict(**direction_channels, **direction_head))
        bearing = 2 * self.direction_head.num_harmonics if direction_head else 0
        self.overlap_head = overlap_head and MODELS.build(
            dict(**channels, bearing_channels=bearing, **overlap_head))
        self.pose_head = MODELS.build(pose_head or dict(type='PoseHead'))

    def forward(self, inputs: dict, data_samples: Optional[list] = None,
                mode: str = 'tensor') -> Any:
        """mmengine's interface over the output of the data preprocessor.

        Args:
            inputs: See ``CalibrationDataPreprocessor``.
            data_samples: One ``CalibrationDataSample`` a scan.
            mode: ``'loss'`` (dict of losses), ``'predict'`` (the data samples with poses and
                matches) or ``'tensor'`` (the features).
        """
        features = self.extract_features(inputs)
        if mode == 'loss':
            return self.loss(inputs, features)
        if mode == 'predict':
            return self.predict(inputs, features, data_samples)
        return features

    def parse_losses(self, losses: Dict[str, Tensor]) -> Tuple[Tensor, Dict[str, Tensor]]:
        """mmengine's sum of the losses, weighed by the balancer where there is one."""
        if self.loss_balancer is not None:
            losses = self.loss_balancer(losses, self)
        # A balancer that saw the scale would take its rise for a task that gets worse.
        return super().parse_losses({
            name: self.pose_loss_scale * value if name in POSE_LOSSES else value
            for name, value in losses.items()})

    def sector_columns(self, inputs: dict, pixel_map: Tensor) -> Tensor:
        """(V, S) columns of a map in which the sectors of azimuth about the optical axis lie."""
        cam2img, count = inputs['cam2img'], self.direction_head.num_sectors
        azimuth = torch.arange(count, device=cam2img.device) * (2 * torch.pi / count)
        behind = azimuth.cos() < 1e-3
        u = cam2img[:, :1, 2] - cam2img[:, :1, 0] * azimuth.tan()
        u = u.masked_fill(behind, torch.inf)
        stride = inputs['imgs'].shape[-1] / pixel_map.shape[-1]
        return (u + 0.5) / stride - 0.5

    @staticmethod
    def column_azimuth(inputs: dict, pixel_map: Tensor) -> Tensor:
        """(V, W') azimuth of a map's columns against the optical axis, radians, left positive."""
        cam2img, width = inputs['cam2img'], pixel_map.shape[-1]
        stride = inputs['imgs'].shape[-1] / width
        u = (torch.arange(width, device=cam2img.device) + 0.5) * stride - 0.5
        return torch.atan((cam2img[:, :1, 2] - u) / cam2img[:, :1, 0])

    def column_codes(self, inputs: dict, pixel_map: Tensor,
                     direction: Optional[Direction]) -> Tensor:
        """(V, W', 2 K) codes of the azimuth the map's columns look in, as far as it is known."""
        azimuth = self.column_azimuth(inputs, pixel_map)
        if direction is None:
            return azimuth.new_zeros(*azimuth.shape, 0)
        own = azimuth_code(azimuth, self.direction_head.num_harmonics)
        return turn_code(own, direction.code[:, None])

    def bearings(self, inputs: dict, seen: ViewPoints,
                 direction: Optional[Direction]) -> Optional[Tensor]:
        """(V, L, 2 K) codes of the voxels' azimuth against the directions of the views."""
        if direction is None:
            return None
        points = inputs['voxels'].relative_points
        code = azimuth_code(torch.atan2(points[:, 1], points[:, 0]),
                            self.direction_head.num_harmonics)
        return turn_code(code[seen.voxel], direction.code[:, None], back=True)

    def compare(self, inputs: dict, points: Tensor, pixel_feats: Tensor,
                direction: Optional[Direction]) -> Features:
        """What the heads say of decoded voxel features (N, C_P) and maps (V, C_I, H', W')."""
        voxels = inputs['voxels']
        seen = voxels_of_views(voxels.batch_index, inputs['view_batch_index'], len(voxels.origin))
        point_logits = pixel_logits = None
        if self.overlap_head is not None:
            point_logits, pixel_logits = self.overlap_head(
                points, pixel_feats, seen, self.bearings(inputs, seen, direction))
        pixels = self.matching_head.embed_pixels(
            pixel_feats, self.column_codes(inputs, pixel_feats, direction))
        return Features(points, pixels, point_logits, pixel_logits, seen, direction)

    def embed_points(self, inputs: dict, features: Any, row: Tensor) -> Tensor:
        """Normalised features (..., D) of voxels ``row`` (...): of those needed, not of all."""
        return self.matching_head.embed_points(
            features.points[row], inputs['voxels'].relative_points[row])

    def pairs(self, inputs: dict, features: Any, truth: GroundTruth, drawn: Tensor,
              valid: Tensor) -> Pairs:
        """Sampled points of each view against all cells.

        Args:
            inputs, features, truth: Of the batch.
            drawn: (V, K), columns of ``features.seen``.
            valid: (V, K) bool, False where fewer than K were drawn.
        """
        stride = self.image_branch.stride
        projection = truth.pixels.gather(1, drawn[..., None].expand(-1, -1, 2))
        cell, distance = nearest_cell(projection, *inputs['imgs'].shape[-2:], stride)
        valid = valid & (distance <= self.positive_margin * stride)
        centres = self.pixel_centres(inputs)
        points = self.embed_points(inputs, features, features.seen.voxel.gather(1, drawn))
        return Pairs(self.matching_head.logits(points, features.pixels),
                     torch.cdist(projection, centres.expand(len(projection), -1, -1)), cell, valid)

    def overlap_and_direction_losses(self, inputs: dict, features: Any,
                                     truth: GroundTruth) -> Dict[str, Tensor]:
        """Weighted losses of those of the two heads that there are; observes the overlap."""
        losses = {}
        if self.overlap_head is not None:
            scores = (features.point_logits, truth.visible, features.seen.mask,
                      features.pixel_logits, truth.pixel_labels)
            self.overlap_head.observe(*scores)
            losses['loss_overlap'] = self.loss_weights['overlap'] * overlap_loss(*scores)
        if self.direction_head is not None:
            losses['loss_direction'] = self.loss_weights['direction'] * self.direction_head.loss(
                features.direction, inputs['lidar2cam'])
        return losses

    @torch.no_grad()
    def ground_truth(self, inputs: dict, features: Any) -> GroundTruth:
        """Projections of the voxels' points and overlap labels under the true pose."""
        height, width = inputs['imgs'].shape[-2:]
        seen = features.seen
        points = inputs['voxels'].points[seen.voxel]
        pixels, depth = project_points(points, inputs['lidar2cam'], inputs['cam2img'])
        visible = in_view(pixels, depth, height, width) & seen.mask
        view = torch.arange(len(visible), device=visible.device)[:, None].expand_as(visible)
        labels = pixel_overlap(
            pixels.flatten(0, 1), visible.flatten(), view.flatten(), len(visible), height, width,
            self.image_branch.stride, dilate=self.overlap_dilation)
        return GroundTruth(pixels, visible, labels)

    def predicted_overlap(self, features: Any) -> Tuple[Tensor, Tensor]:
        """Points (V, L) and pixels (V, H' W') that score above the thresholds (section 3.4)."""
        if self.overlap_head is None:
            return features.seen.mask, features.seen.mask.new_ones(features.pixels.shape[:2])
        point_threshold, pixel_threshold = self.overlap_head.thresholds
        points = features.point_logits.float().sigmoid() > point_threshold
        pixels = features.pixel_logits.float().sigmoid() > pixel_threshold
        return points & features.seen.mask, pixels.flatten(1)

    def pixel_centres(self, inputs: dict) -> Tensor:
        """(H' W', 2) input-image pixels of the cells' centres."""
        height, width = inputs['imgs'].shape[-2:]
        centres = cell_centres(height, width, self.image_branch.stride)
        return centres.to(inputs['imgs'].device, torch.float32).view(-1, 2)

    @abstractmethod
    def match_points(self, inputs: dict, features: Any, drawn: Tensor,
                     permitted: Tensor) -> Tuple[Matches, Tensor]:
        """Matches of some voxels of each view.

        Args:
            inputs, features: Of the batch.
            drawn: (V, K), columns of ``features.seen``.
            permitted: (V, H' W') bool, cells in the predicted overlap.

        Returns:
            tuple: the matches (V, K) and (V, K) bool, False where there is none.
        """

    @torch.no_grad()
    def predict(self, inputs: dict, features: Any, data_samples: list) -> list:
        """Poses by the robust solver from matches within the predicted overlap.

        Sets ``pred_lidar2cam`` (V, 4, 4), ``pred_valid`` (V,), ``pred_inlier_ratio`` (V,),
        ``pred_reprojection_error`` (V,) in pixels, ``pred_matches`` and, with a direction head,
        ``pred_direction_shares`` (V, 2) (see its ``shares``) in each sample, and, where the true
        poses are known, what :func:`~.inspection.inspect_features` adds for metrics and
        pictures.
        """
        overlapping, permitted = self.predicted_overlap(features)
        drawn, valid = spread_columns(overlapping, self.num_test_points)
        matches, found = self.match_points(inputs, features, drawn, permitted)
        valid = valid & found
        points = inputs['voxels'].points[features.seen.voxel.gather(1, drawn)]

        predictions = []
        for view in range(len(points)):
            keep = valid[view]
            found = BaseDataElement(
                points=points[view][keep], pixels=matches.pixels[view][keep],
                scores=matches.similarity[view][keep])
            predictions.append((self._solve(found, inputs['cam2img'][view]), found))
        self._write(predictions, inputs['view_batch_index'], data_samples)
        if features.direction is not None:
            shares = self.direction_head.shares(features.direction.logits).cpu()
            scan_of_view = inputs['view_batch_index'].cpu()
            for scan, sample in enumerate(data_samples):
                sample.pred_direction_shares = shares[scan_of_view == scan]
        if 'lidar2cam' in inputs:
            inspect_features(self, inputs, features, data_samples)
        return data_samples

    def _solve(self, found: BaseDataElement, cam2img: Tensor):
        if len(found.points) < self.pose_head.min_points:
            return None
        return self.pose_head.predict(found.points, found.pixels, found.scores, cam2img)

    @staticmethod
    def _write(predictions: list, view_batch_index: Tensor, data_samples: List) -> None:
        for scan, sample in enumerate(data_samples):
            views = [predictions[v] for v in (view_batch_index == scan).nonzero()[:, 0].tolist()]
            poses, valid, inliers, errors = [], [], [], []
            for pose, found in views:
                solved = pose is not None and pose.success
                valid.append(solved)
                poses.append(make_transform(pose.R, pose.t).double().cpu() if solved else
                             torch.eye(4, dtype=torch.float64))
                inliers.append(float(pose.inliers.float().mean()) if solved else 0.)
                errors.append(float(pose.reprojection_error) if solved else float('nan'))
            sample.pred_lidar2cam = torch.stack(poses)
            sample.pred_valid = torch.tensor(valid)
            sample.pred_inlier_ratio = torch.tensor(inliers)
            sample.pred_reprojection_error = torch.tensor(errors)
            sample.pred_matches = [found for _, found in views]


def columns_of(matrix: Tensor, index: Tensor) -> Tensor:
    """(V, K, L) and (V, K) columns -> (V, K, K), transposed: row i is column ``index[i]``."""
    return matrix.gather(2, index[:, None].expand(-1, matrix.shape[1], -1)).transpose(1, 2)
