"""CrossI2P: self-supervised cross-modal learning for image-to-point-cloud registration."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.geometry.camera import CellGrid, sector_columns
from nclr_plugin.geometry.se3 import matmul_exact, yaw_rotation
from nclr_plugin.structures import Views
from ..heads.contrastive_head import Instances
from ..heads.matching_head import Matches, patch_mask, refine_matches
from ..layers.batching import gather_columns, random_subset
from ..layers.position_encoding import pixel_pos_encoding, point_pos_encoding
from ..losses.contrastive_loss import pixel_to_point_loss, point_to_pixel_loss
from ..losses.pose_loss import reprojection_loss, squared_pose_loss
from ..necks.superpoints import Superpoints, group_superpoints
from .base import CalibrationModel, Features, GroundTruth

YAW_LEVEL = -2  # of the image encoder: a step finer than its last map
POINT_WAVELENGTH = (2., 200.)  # metres
PIXEL_WAVELENGTH = (2., 100.)  # superpixels


@dataclass
class CrossI2PFeatures(Features):
    """Features of CrossI2P, of B scans and V views.

    Attributes:
        graph: Neighbour graph of the point encoder, the same for the second transformation.
        groups: Superpoints.
        encoded_superpoints: (B, G, E) before the two modalities meet: contrastive learning sees
            these.
        encoded_superpixels: (V, E, h, w), likewise.
        superpoints: (B, G, D) normalised, to be compared with superpixels; ``None`` in one stage.
        superpixels: (V, h w, D) normalised; ``None`` likewise.
    """
    graph: Tensor
    groups: Superpoints
    encoded_superpoints: Tensor
    encoded_superpixels: Tensor
    superpoints: Optional[Tensor]
    superpixels: Optional[Tensor]


@MODELS.register_module()
class CrossI2P(CalibrationModel):
    """Register images to scans: contrastive learning, two-stage matching, differentiable PnP.

    The rows of the paper's Table 3 are switches: ``contrastive_head=None`` (without SL),
    ``transformer=None`` (without RM: one stage, every point against the whole overlap),
    ``loss_weights=dict(pose=0)`` (without D-PNP) and ``loss_balancer=None`` (without DC).

    Two additions to the paper: the overlap is detected as in NCLR, because seven superpoints of
    eight have no superpixel although a nearest one always exists; and ``yaw_head``, ``None``
    for the paper's model, predicts the viewing direction, without which a free yaw takes many times
    the samples.

    Args:
        point_backbone: Config of :class:`~nclr_plugin.models.backbones.DGCNN`.
        image_branch: Config of :class:`~nclr_plugin.models.backbones.ResNetFPN`.
        matching_head: Config of the fine level's
            :class:`~nclr_plugin.models.heads.MatchingHead`; channels are filled in here, as in the
            other heads. Cosine similarity orders pairs as the paper's norm of the difference of
            normalised features does.
        transformer: Config of :class:`~nclr_plugin.models.necks.CoarseTransformer`; ``None``: one
            stage.
        contrastive_head: Config of :class:`~nclr_plugin.models.heads.ContrastiveHead`.
        overlap_head: Config; see :class:`~nclr_plugin.models.pretrainers.nclr.NCLR`.
        yaw_head: Config; see there.
        pose_head: Config; see there.
        embed_dims: Channels of superpoints and superpixels.
        num_superpoints: Superpoints of a scan.
        radius: r of Eq. 8, metres.
        group_size: Largest number of points of a superpoint.
        superpixel_stride: Pixels per superpixel.
        top_k: Number of superpixels in whose patches a superpoint's points are matched.
        patch_margin: Cells of the stride-4 map by which a patch is larger on each side: a
            superpoint near the camera covers several superpixels.
        refine_radius: Cells to each side of the best one that a fine match averages.
        loss_weights: ``contrastive``, ``matching``, ``overlap``, ``yaw`` and ``pose``. The
            paper's single lambda is 0.5.
        translation_weight: lambda of Eq. 14.
        reprojection_target: I_i of Eq. 15: ``'true'``, the pixels of the true pose, or
            ``'matched'``, those that the pose was solved from. At a minimum of that sum its
            gradient with respect to the pose vanishes, so the latter only asks for matches that
            agree with each other.
        scale: Largest logarithm of the scale of the second transformation (Eq. 1), which also has a
            yaw of any angle. The first one is the random rigid transform that the scan has anyway.
        jitter: Gaussian noise of the coordinates of the second transformation, metres.
        kwargs: Arguments of :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.

    Raises:
        ValueError: When ``reprojection_target`` is neither of the two.
    """

    def __init__(self,
                 point_backbone: dict,
                 image_branch: dict,
                 matching_head: dict,
                 transformer: Optional[dict] = None,
                 contrastive_head: Optional[dict] = None,
                 overlap_head: Optional[dict] = None,
                 yaw_head: Optional[dict] = None,
                 pose_head: Optional[dict] = None,
                 embed_dims: int = 256,
                 num_superpoints: int = 1280,
                 radius: float = 2.,
                 group_size: int = 32,
                 superpixel_stride: int = 16,
                 top_k: int = 3,
                 patch_margin: int = 2,
                 refine_radius: int = 1,
                 loss_weights: Optional[Dict[str, float]] = None,
                 translation_weight: float = 0.5,
                 reprojection_target: str = 'true',
                 scale: float = 0.2,
                 jitter: float = 0.02,
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reprojection_target not in ('true', 'matched'):
            raise ValueError('CrossI2P: reprojection_target must be "true" or "matched", found '
                             f'"{reprojection_target}".')
        self.point_backbone = MODELS.build(point_backbone)
        self.image_branch = MODELS.build(image_branch)
        channels, pixel_channels = self.point_backbone.out_channels, self.image_branch.out_channels
        self.superpoint_pooling = MODELS.build(
            dict(type='SuperpointPooling', in_channels=channels, out_channels=embed_dims))
        self.superpixel_pyramid = MODELS.build(
            dict(
                type='SuperpixelPyramid',
                in_channels=self.image_branch.level_channels,
                out_channels=embed_dims))
        self.transformer = transformer and MODELS.build(dict(channels=embed_dims, **transformer))
        self.coarse_head = transformer and MODELS.build(
            dict(type='MatchingHead', point_channels=embed_dims, pixel_channels=embed_dims,
                 embed_dims=embed_dims, alignment=False,
                 temperature=matching_head.get('temperature', 0.07)))
        self.point_out = nn.Sequential(
            nn.Linear(channels + embed_dims, channels), nn.LayerNorm(channels), nn.ReLU())
        self.pixel_out = nn.Conv2d(embed_dims, pixel_channels, 1)
        sides = dict(point_channels=channels, pixel_channels=pixel_channels)
        self.matching_head = MODELS.build(dict(**sides, **matching_head))
        self.contrastive_head = contrastive_head and MODELS.build(
            dict(point_channels=embed_dims, pixel_channels=embed_dims, **contrastive_head))
        self.build_heads(
            sides,
            dict(
                point_channels=channels,
                pixel_channels=self.image_branch.level_channels[YAW_LEVEL]),
            overlap_head, yaw_head, pose_head)
        self.embed_dims = embed_dims
        self.num_superpoints = num_superpoints
        self.radius = radius
        self.group_size = group_size
        self.superpixel_stride = superpixel_stride
        self.top_k = top_k
        self.patch_margin = patch_margin
        self.refine_radius = refine_radius
        self.loss_weights = {
            **dict(contrastive=.5, matching=.5, overlap=.5, yaw=.5, pose=.5),
            **(loss_weights or {})}
        self.translation_weight = translation_weight
        self.reprojection_target = reprojection_target
        self.scale = scale
        self.jitter = jitter

    def extract_features(self, views: Views, hypothesis: int = 0) -> CrossI2PFeatures:
        """Encode both sides, fuse superpoints and superpixels, decode, and apply the heads."""
        voxels, batch_size = views.voxels, views.batch_size
        points = voxels.relative_points
        graph = self.point_backbone.graph(points, voxels.batch_index, batch_size)
        encoded = self.point_backbone(voxels.feats, voxels.batch_index, batch_size, graph)
        maps = self.image_branch.encode(views.imgs)
        yaw = None
        if self.yaw_head is not None:
            pixel_map = maps[YAW_LEVEL]
            columns = sector_columns(views.cam2img, self.yaw_head.num_sectors,
                                     views.imgs.shape[-1] / pixel_map.shape[-1])
            yaw = self.yaw_head(
                encoded, points, voxels.batch_index, pixel_map, columns, views.view_batch_index,
                batch_size, hypothesis)

        groups = group_superpoints(points, voxels.batch_index, batch_size, self.num_superpoints,
                                   self.radius, self.group_size)
        encoded_superpoints = self.superpoint_pooling(encoded, points, groups, self.radius)
        encoded_superpixels = self.superpixel_pyramid(maps, self._superpixel_grid(views))
        superpoints, superpixels = encoded_superpoints, encoded_superpixels
        coarse_points = coarse_pixels = None
        if self.transformer is not None:
            centres = points[groups.centre]
            codes = self.column_codes(views, superpixels, yaw)
            superpoints, superpixels = self._add_positions(superpoints, centres, superpixels, codes)
            superpoints, superpixels = self.transformer(
                superpoints, centres, groups.mask, superpixels, views.view_batch_index)
            coarse_points = self.coarse_head.embed_points(superpoints, centres)
            coarse_pixels = self.coarse_head.embed_pixels(superpixels, codes)

        context = superpoints.flatten(0, 1)[groups.owner]
        point_feats = self.point_out(torch.cat((encoded, context.to(encoded)), 1))
        pixel_feats = self.image_branch.decode(maps)
        pixel_feats = pixel_feats + nn.functional.interpolate(
            self.pixel_out(superpixels), size=pixel_feats.shape[-2:], mode='bilinear',
            align_corners=False)
        features = self.apply_heads(views, point_feats, pixel_feats, yaw)
        return CrossI2PFeatures(
            **vars(features), graph=graph, groups=groups, encoded_superpoints=encoded_superpoints,
            encoded_superpixels=encoded_superpixels, superpoints=coarse_points,
            superpixels=coarse_pixels)

    def _add_positions(self, superpoints: Tensor, centres: Tensor, superpixels: Tensor,
                codes: Tensor) -> Tuple[Tensor, Tensor]:
        """Add the codes of their positions to the features."""
        height = superpixels.shape[2]
        where = pixel_pos_encoding(height, codes, self.embed_dims, PIXEL_WAVELENGTH)
        where = where.transpose(1, 2).reshape(superpixels.shape)
        superpoints = superpoints + point_pos_encoding(
            centres, self.embed_dims, POINT_WAVELENGTH).to(superpoints)
        return superpoints, superpixels + where.to(superpixels)

    def loss(self, views: Views, features: CrossI2PFeatures) -> Dict[str, Tensor]:
        """Return the terms of Eq. 17 with fixed weights, beside overlap and yaw."""
        truth = self.ground_truth(views, features)
        weight = self.loss_weights
        losses = {}
        if self.contrastive_head is not None:
            losses.update(_times(weight['contrastive'], self.contrastive_head.loss(
                self.instances(views, features, truth))))
        if self.transformer is not None:
            losses.update(_times(weight['matching'], self.coarse_loss(views, features, truth)))
        losses.update(_times(weight['matching'], self.fine_loss(views, features, truth)))
        losses.update(self.overlap_and_yaw_losses(views, features, truth))
        if self.solves_pose:
            losses.update(_times(weight['pose'], self.pose_loss(views, features, truth)))
        return losses

    def instances(self, views: Views, features: CrossI2PFeatures, truth: GroundTruth) -> Instances:
        """Return the instances of contrastive learning: superpoints and their superpixels."""
        voxels, view_batch_index = views.voxels, views.view_batch_index
        groups = features.groups
        moved = self.transformed(voxels.relative_points, voxels.batch_index)
        again = self.point_backbone(torch.cat((moved, voxels.feats[:, 3:]), 1),
                                    voxels.batch_index, views.batch_size, features.graph)
        second = self.superpoint_pooling(again, moved, groups, self.radius)

        pixels, visible = self.project_centres(views, features, truth)
        cell = self._superpixel_grid(views).nearest(pixels)[0]
        image = features.encoded_superpixels.flatten(2).transpose(1, 2)
        image = image.gather(1, cell[..., None].expand(-1, -1, image.shape[-1]))
        centres = voxels.relative_points[groups.centre]
        near = torch.cdist(centres, centres) < self.radius
        return Instances(features.encoded_superpoints[view_batch_index], second[view_batch_index],
                         image, groups.mask[view_batch_index], visible, near[view_batch_index],
                         cell[:, :, None] == cell[:, None])

    @torch.no_grad()
    def transformed(self, points: Tensor, batch_index: Tensor) -> Tensor:
        """Apply the second geometric transformation of Eq. 1, drawn for each scan."""
        batch_size = int(batch_index.max()) + 1
        draw = torch.rand(2, batch_size, device=points.device)
        rotation = yaw_rotation(2 * torch.pi * draw[0]) * torch.exp(
            self.scale * (2 * draw[1] - 1))[:, None, None]
        moved = matmul_exact(rotation.to(points)[batch_index], points[..., None])[..., 0]
        return moved + self.jitter * torch.randn_like(moved)

    def coarse_loss(self, views: Views, features: CrossI2PFeatures,
                    truth: GroundTruth) -> Dict[str, Tensor]:
        """First stage: each superpoint against the superpixels of a view, and back."""
        grid = self._superpixel_grid(views)
        pixels, visible = self.project_centres(views, features, truth)
        cell, _ = grid.nearest(pixels)
        centres = grid.centres(pixels.dtype, pixels.device).view(-1, 2)
        distance = torch.cdist(pixels, centres.expand(len(pixels), -1, -1))
        logits = self.coarse_similarity(views, features) / self.coarse_head.temperature
        # A neighbouring superpixel is no negative: the group covers a part of it.
        margin = grid.stride
        outside = features.groups.mask[views.view_batch_index] & ~visible
        return dict(
            loss_coarse_point=point_to_pixel_loss(logits, cell, distance, visible, margin),
            loss_coarse_pixel=pixel_to_point_loss(
                gather_columns(logits, cell), gather_columns(distance, cell), visible, margin,
                outside))

    def coarse_similarity(self, views: Views, features: CrossI2PFeatures) -> Tensor:
        """Return the similarities (V, G, h w) of superpoints and superpixels."""
        return self.coarse_head.similarity(
            features.superpoints[views.view_batch_index], features.superpixels)

    def fine_loss(self, views: Views, features: CrossI2PFeatures,
                  truth: GroundTruth) -> Dict[str, Tensor]:
        """Second stage: points against the pixels of their patch, and back.

        The patches are those of the true superpixels. In one stage a patch is the whole map.
        """
        columns, valid, patch = self.true_patches(views, features, truth, self.num_samples)
        logits, distance, cell, valid = self.point_pixel_pairs(
            views, features, truth, columns, valid)
        valid = valid & patch.gather(2, cell[..., None])[..., 0]
        margin = self.negative_margin * self.image_branch.stride
        in_patch = logits.masked_fill(~patch.scatter(2, cell[..., None], True), -torch.inf)
        return dict(
            loss_fine_point=point_to_pixel_loss(in_patch, cell, distance, valid, margin),
            loss_fine_pixel=pixel_to_point_loss(
                gather_columns(logits, cell), gather_columns(distance, cell), valid, margin))

    def pose_loss(self, views: Views, features: CrossI2PFeatures,
                  truth: GroundTruth) -> Dict[str, Tensor]:
        """Eq. 13-16: refined matches within the true patches, EPnP, pose and reprojection."""
        columns, valid, patch = self.true_patches(
            views, features, truth, self.pose_head.num_points)
        matches, found = self._refine(views, features, columns, patch)
        points = views.voxels.points[features.view_voxels.take(columns)]
        cam2img = views.cam2img
        solution = self.pose_head.solve(points, matches.pixels, valid & found, cam2img)
        target = matches.pixels
        if self.reprojection_target == 'true':
            target = truth.pixels.gather(1, columns[..., None].expand(-1, -1, 2))
        return dict(
            loss_pose=squared_pose_loss(solution, views.lidar2cam, self.translation_weight),
            loss_reprojection=reprojection_loss(
                solution, points, target, valid & found, cam2img, self.image_branch.stride))

    def match_points(self, views: Views, features: CrossI2PFeatures, columns: Tensor,
                     pixel_mask: Tensor) -> Tuple[Matches, Tensor]:
        """Fine matches in the patches of the coarse ones; see the base class."""
        cells = pixel_mask[:, None].expand(-1, columns.shape[1], -1)
        if self.transformer is not None:
            similarity = self.coarse_similarity(views, features)
            best = similarity.topk(min(self.top_k, similarity.shape[2])).indices
            patch = self._patches(views, best).any(2)
            cells = cells & self._gather_by_owner(patch, features, columns)
        return self._refine(views, features, columns, cells)

    def _refine(self, views: Views, features: CrossI2PFeatures, columns: Tensor,
                pixel_mask: Tensor) -> Tuple[Matches, Tensor]:
        points = self.embed_points(views, features, features.view_voxels.take(columns))
        head = self.matching_head
        return refine_matches(
            head.similarity(points, features.pixels), pixel_mask,
            views.grid(self.image_branch.stride), head.match_temperature,
            self.refine_radius if head.match_mode == 'soft' else 0)

    def true_patches(self, views: Views, features: CrossI2PFeatures, truth: GroundTruth,
                      size: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Sample visible points whose superpoint is visible, with the cells of its superpixel.

        Returns:
            Columns (V, K), their validity (V, K), and the cells of their patches (V, K, H' W').
        """
        visible = truth.visible
        if self.transformer is None:
            columns, valid = random_subset(visible, size)
            return columns, valid, valid.new_ones(*columns.shape, features.pixels.shape[1])
        pixels, centre_visible = self.project_centres(views, features, truth)
        every = torch.arange(visible.shape[1], device=visible.device).expand(len(visible), -1)
        visible = visible & self._gather_by_owner(centre_visible, features, every)
        columns, valid = random_subset(visible, size)
        patch = self._patches(views, self._superpixel_grid(views).nearest(pixels)[0])
        return columns, valid, self._gather_by_owner(patch, features, columns)

    def _patches(self, views: Views, superpixel: Tensor) -> Tensor:
        return patch_mask(superpixel, self._superpixel_grid(views),
                          views.grid(self.image_branch.stride), self.patch_margin)

    def _superpixel_grid(self, views: Views) -> CellGrid:
        return views.grid(self.superpixel_stride)

    @staticmethod
    def _gather_by_owner(of_groups: Tensor, features: CrossI2PFeatures, columns: Tensor) -> Tensor:
        """Return for some voxels (V, K) the values (V, G, ...) of their groups: (V, K, ...)."""
        owner = features.groups.owner[features.view_voxels.take(columns)] % of_groups.shape[1]
        view = torch.arange(len(owner), device=owner.device)[:, None]
        return of_groups[view, owner]

    @staticmethod
    def project_centres(views: Views, features: CrossI2PFeatures,
                    truth: GroundTruth) -> Tuple[Tensor, Tensor]:
        """Project the centres of the superpoints: (V, G, 2), and which are visible (V, G)."""
        view_batch_index = views.view_batch_index
        # The voxels of a scan are consecutive rows, which the columns of the truth count.
        column = features.groups.centre[view_batch_index] - features.view_voxels.idx[:, :1]
        column = column.clamp(min=0)
        pixels = truth.pixels.gather(1, column[..., None].expand(-1, -1, 2))
        return pixels, truth.visible.gather(1, column) & features.groups.mask[view_batch_index]


def _times(weight: float, losses: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {name: weight * value for name, value in losses.items()}
