"""CrossI2P: self-supervised cross-modal learning for image-to-point-cloud registration."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...geometry.camera import CellGrid
from ...structures import Views
from ..heads.contrastive_head import Augmentation, Instances
from ..heads.matching_head import MatchingHead, PixelMatches, patch_mask, refine_matches
from ..heads.yaw_head import column_codes
from ..layers.batching import gather_columns, random_subset
from ..layers.attention import pixel_pos_encoding, point_pos_encoding
from ..losses.contrastive_loss import pixel_targets, pixel_to_point_loss, point_to_pixel_loss
from ..losses.pose_loss import reprojection_loss, squared_pose_loss
from ..necks.superpoints import SuperpixelPyramid, SuperpointPooling, Superpoints
from .base import CalibrationModel
from .features import Features, GroundTruth

YAW_LEVEL = -2  # of the image encoder: a step finer than its last map
PIXEL_WAVELENGTH = (2., 100.)  # superpixels


@dataclass
class CrossI2PFeatures(Features):
    """Features of CrossI2P, of B scans and V views.

    Attributes:
        graph: Neighbour graph of the point encoder, the same for the second transformation.
        groups: Superpoints.
        encoded_superpoints: (B, G, E) before the fusion, for contrastive learning.
        encoded_superpixels: (V, E, h, w), likewise.
        superpoints: (B, G, D) normalised, to be compared with superpixels; ``None`` in one stage.
        superpixels: (V, h w, D) normalised; ``None`` likewise.
    """
    graph: Tensor
    groups: Superpoints
    encoded_superpoints: Tensor
    encoded_superpixels: Tensor
    superpoints: Tensor | None
    superpixels: Tensor | None


class Patches(NamedTuple):
    """Settings of the second stage: points match within the patches of superpixels.

    Attributes:
        stride: Pixels per superpixel.
        top_k: Superpixels in whose patches the points of a superpoint are matched.
        margin: Cells of the stride-4 map by which a patch is larger on each side: a superpoint near
            the camera covers several superpixels.
        refine_radius: Cells to each side of the best one that a match averages.
    """
    stride: int = 16
    top_k: int = 3
    margin: int = 2
    refine_radius: int = 1


@MODELS.register_module()
class CrossI2P(CalibrationModel):
    """Register images to scans: contrastive learning, two-stage matching, differentiable PnP.

    The rows of the paper's Table 3 are switches: ``contrastive_head=None`` (without SL),
    ``transformer=None`` (without RM: one stage, every point against the whole overlap),
    ``loss_weights=dict(pose=0)`` (without D-PNP) and ``loss_balancer=None`` (without DC).

    There are two additions to the paper. The overlap is detected as in NCLR: seven of eight
    superpoints have no superpixel, although a nearest one always exists. And ``yaw_head`` (``None``
    in the paper's model) predicts the yaw, without which learning for any yaw takes many times the
    samples.

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
        superpoints: Arguments of :class:`~nclr_plugin.models.necks.SuperpointPooling`, such as
            ``num_groups`` and ``radius``.
        patches: Fields of :class:`Patches`, such as ``top_k``.
        loss_weights: ``contrastive``, ``matching``, ``overlap``, ``yaw`` and ``pose``. The
            paper's single lambda is 0.5.
        translation_weight: lambda of Eq. 14.
        reprojection_target: I_i of Eq. 15: ``'true'``, the pixels of the true pose, or
            ``'matched'``, those that the pose was solved from. The pose minimises that sum, so its
            gradient vanishes, and the latter only asks for matches that agree with each other.
        kwargs: Arguments of :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.

    Raises:
        ValueError: If ``reprojection_target`` is neither of the two.
    """

    def __init__(self,
                 point_backbone: dict,
                 image_branch: dict,
                 matching_head: dict,
                 transformer: dict | None = None,
                 contrastive_head: dict | None = None,
                 overlap_head: dict | None = None,
                 yaw_head: dict | None = None,
                 pose_head: dict | None = None,
                 embed_dims: int = 256,
                 superpoints: dict | None = None,
                 patches: dict | None = None,
                 loss_weights: dict[str, float] | None = None,
                 translation_weight: float = 0.5,
                 reprojection_target: str = 'true',
                 **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reprojection_target not in ('true', 'matched'):
            raise ValueError('CrossI2P: reprojection_target must be "true" or "matched", found '
                             f'"{reprojection_target}".')
        self.point_backbone = MODELS.build(point_backbone)
        self.image_branch = MODELS.build(image_branch)
        channels = dict(
            point_channels=self.point_backbone.out_channels,
            pixel_channels=self.image_branch.out_channels)
        point_channels, pixel_channels = channels.values()
        self.superpoint_pooling = SuperpointPooling(
            point_channels, embed_dims, **(superpoints or {}))
        self.superpixel_pyramid = SuperpixelPyramid(self.image_branch.level_channels, embed_dims)
        self.transformer = transformer and MODELS.build(dict(channels=embed_dims, **transformer))
        self.coarse_head = transformer and MatchingHead(
            embed_dims, embed_dims, embed_dims, alignment=False,
            **{key: matching_head[key] for key in ('temperature', 'position_channels')
               if key in matching_head})
        self.point_out = nn.Sequential(
            nn.Linear(point_channels + embed_dims, point_channels), nn.LayerNorm(point_channels),
            nn.ReLU())
        self.pixel_out = nn.Conv2d(embed_dims, pixel_channels, 1)
        self.matching_head = MODELS.build(dict(**channels, **matching_head))
        self.contrastive_head = contrastive_head and MODELS.build(
            dict(point_channels=embed_dims, pixel_channels=embed_dims, **contrastive_head))
        self.build_heads(
            channels,
            dict(
                point_channels=point_channels,
                pixel_channels=self.image_branch.level_channels[YAW_LEVEL]),
            overlap_head, yaw_head, pose_head)
        self.embed_dims = embed_dims
        self.patches = Patches(**(patches or {}))
        self.augment = Augmentation()
        self.loss_weights = {
            **dict(contrastive=.5, matching=.5, overlap=.5, yaw=.5, pose=.5),
            **(loss_weights or {})}
        self.translation_weight = translation_weight
        self.reprojection_target = reprojection_target

    def extract_features(self, views: Views, hypothesis: int = 0) -> CrossI2PFeatures:
        """Encode both sides, fuse superpoints and superpixels, decode, and apply the heads."""
        voxels, batch_size = views.voxels, views.batch_size
        points = voxels.relative_points
        graph = self.point_backbone.graph(points, voxels.batch_index, batch_size)
        encoded = self.point_backbone(voxels.feats, voxels.batch_index, batch_size, graph)
        maps = self.image_branch.encode(views.imgs)
        yaw = None if self.yaw_head is None else self.predict_yaw(
            views, voxels, encoded, maps[YAW_LEVEL], hypothesis)

        groups = self.superpoint_pooling.group(points, voxels.batch_index, batch_size)
        encoded_superpoints = self.superpoint_pooling(encoded, points, groups)
        encoded_superpixels = self.superpixel_pyramid(maps, self._superpixel_grid(views))
        superpoints, superpixels = encoded_superpoints, encoded_superpixels
        coarse_points = coarse_pixels = None
        if self.transformer is not None:
            centres = points[groups.centre]
            codes = column_codes(yaw, views, superpixels.shape[-1])
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
        features = self.apply_heads(views, voxels, point_feats, pixel_feats, yaw)
        return CrossI2PFeatures(
            **vars(features), graph=graph, groups=groups, encoded_superpoints=encoded_superpoints,
            encoded_superpixels=encoded_superpixels, superpoints=coarse_points,
            superpixels=coarse_pixels)

    def _add_positions(self, superpoints: Tensor, centres: Tensor, superpixels: Tensor,
                       codes: Tensor) -> tuple[Tensor, Tensor]:
        """Add the codes of their positions to the features."""
        height = superpixels.shape[2]
        where = pixel_pos_encoding(height, codes, self.embed_dims, PIXEL_WAVELENGTH)
        where = where.transpose(1, 2).reshape(superpixels.shape)
        superpoints = superpoints + point_pos_encoding(
            centres, self.embed_dims).to(superpoints)
        return superpoints, superpixels + where.to(superpixels)

    def loss(self, views: Views, features: CrossI2PFeatures,
             truth: GroundTruth) -> dict[str, Tensor]:
        """Return the terms of Eq. 17 with fixed weights, beside overlap and yaw."""
        weight = self.loss_weights
        losses = {}
        if self.contrastive_head is not None:
            losses.update(_times(weight['contrastive'], self.contrastive_head.loss(
                self.instances(views, features, truth))))
        if self.transformer is not None:
            losses.update(_times(weight['matching'], self.coarse_loss(views, features, truth)))
        losses.update(_times(weight['matching'], self.fine_loss(views, features, truth)))
        losses.update(self.overlap_and_yaw_losses(views, features, truth))
        if self.has_pose_loss:
            losses.update(_times(weight['pose'], self.pose_loss(views, features, truth)))
        return losses

    def instances(self, views: Views, features: CrossI2PFeatures, truth: GroundTruth) -> Instances:
        """Return the instances of contrastive learning: superpoints and their superpixels."""
        voxels, view_batch_index = views.voxels, views.view_batch_index
        groups = features.groups
        moved = self.augment(voxels.relative_points, voxels.batch_index)
        again = self.point_backbone(torch.cat((moved, voxels.feats[:, 3:]), 1),
                                    voxels.batch_index, views.batch_size, features.graph)
        second = self.superpoint_pooling(again, moved, groups)

        pixels, visible = self.project_centres(views, features, truth)
        cell = self._superpixel_grid(views).nearest(pixels)[0]
        image = features.encoded_superpixels.flatten(2).transpose(1, 2)
        image = image.take_along_dim(cell[..., None], 1)
        centres = voxels.relative_points[groups.centre]
        too_close = torch.cdist(centres, centres) < self.superpoint_pooling.radius
        return Instances(
            view1=features.encoded_superpoints[view_batch_index], view2=second[view_batch_index],
            image=image, valid=groups.mask[view_batch_index], visible=visible,
            too_close=too_close[view_batch_index], same_pixel=cell[:, :, None] == cell[:, None])

    def coarse_loss(self, views: Views, features: CrossI2PFeatures,
                    truth: GroundTruth) -> dict[str, Tensor]:
        """Compute the losses of the first stage: superpoints against superpixels, both ways."""
        grid = self._superpixel_grid(views)
        pixels, visible = self.project_centres(views, features, truth)
        targets = pixel_targets(pixels, grid, visible)
        logits = self.coarse_similarity(views, features) / self.coarse_head.temperature
        # A neighbouring superpixel is no negative: the group covers a part of it.
        margin = grid.stride
        outside = features.groups.mask[views.view_batch_index] & ~visible
        return dict(
            loss_coarse_point=point_to_pixel_loss(logits, targets, margin),
            loss_coarse_pixel=pixel_to_point_loss(
                gather_columns(logits, targets.cell), targets, margin, outside))

    def coarse_similarity(self, views: Views, features: CrossI2PFeatures) -> Tensor:
        """Return the similarities (V, G, h w) of superpoints and superpixels."""
        return self.coarse_head.similarity(
            features.superpoints[views.view_batch_index], features.superpixels)

    def fine_loss(self, views: Views, features: CrossI2PFeatures,
                  truth: GroundTruth) -> dict[str, Tensor]:
        """Compute the losses of the second stage: points against pixels of their patch, both ways.

        The patches are those of the true superpixels. In one stage a patch is the whole map.
        """
        slots, valid, patch = self.true_patches(views, features, truth, self.num_samples)
        stride = self.image_branch.stride
        targets = pixel_targets(truth.take_pixels(slots), features.grid, valid,
                                self.positive_margin * stride)
        positive = targets.cell[..., None]
        targets = targets._replace(valid=targets.valid & patch.gather(2, positive)[..., 0])
        margin = self.negative_margin * stride
        logits = self.matching_head.logits(self.embed_points(features, slots), features.pixels)
        in_patch = logits.masked_fill(~patch.scatter(2, positive, True), -torch.inf)
        return dict(
            loss_fine_point=point_to_pixel_loss(in_patch, targets, margin),
            loss_fine_pixel=pixel_to_point_loss(
                gather_columns(logits, targets.cell), targets, margin))

    def pose_loss(self, views: Views, features: CrossI2PFeatures,
                  truth: GroundTruth) -> dict[str, Tensor]:
        """Compute Eq. 13-16: refined matches in the true patches, EPnP, pose and reprojection."""
        slots, valid, patch = self.true_patches(
            views, features, truth, self.pose_head.num_points)
        matches = self._refine(features, slots, patch)
        points = views.voxels.points[features.view_voxels.take(slots)]
        cam2img = views.cam2img
        solution = self.pose_head.solve(points, matches.pixels, valid & matches.valid, cam2img)
        target = matches.pixels
        if self.reprojection_target == 'true':
            target = truth.take_pixels(slots)
        return dict(
            loss_pose=squared_pose_loss(solution, views.lidar2cam, self.translation_weight),
            loss_reprojection=reprojection_loss(
                solution, points, target, valid & matches.valid, cam2img, self.image_branch.stride))

    def match_points(self, views: Views, features: CrossI2PFeatures, slots: Tensor,
                     pixel_mask: Tensor) -> PixelMatches:
        """Match within the patches of the coarse matches; see the base class."""
        cells = pixel_mask[:, None].expand(-1, slots.shape[1], -1)
        if self.transformer is not None:
            similarity = self.coarse_similarity(views, features)
            best = similarity.topk(min(self.patches.top_k, similarity.shape[2])).indices
            patch = self._patch_cells(views, features, best).any(2)
            cells = cells & self._gather_by_owner(patch, features, slots)
        return self._refine(features, slots, cells)

    def _refine(self, features: CrossI2PFeatures, slots: Tensor,
                pixel_mask: Tensor) -> PixelMatches:
        head = self.matching_head
        similarity = head.similarity(self.embed_points(features, slots), features.pixels)
        return refine_matches(
            similarity, pixel_mask, features.grid, head.match_temperature,
            self.patches.refine_radius if head.match_mode == 'soft' else 0)

    def true_patches(self, views: Views, features: CrossI2PFeatures, truth: GroundTruth,
                     size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Sample visible points whose superpoint is visible, with the cells of its superpixel.

        Returns:
            Slots (V, K), their validity (V, K), and the cells of their patches (V, K, H' W').
        """
        visible = truth.visible
        if self.transformer is None:
            slots, valid = random_subset(visible, size)
            return slots, valid, valid.new_ones(*slots.shape, features.pixels.shape[1])
        pixels, centre_visible = self.project_centres(views, features, truth)
        every = torch.arange(visible.shape[1], device=visible.device).expand(len(visible), -1)
        visible = visible & self._gather_by_owner(centre_visible, features, every)
        slots, valid = random_subset(visible, size)
        superpixel, _ = self._superpixel_grid(views).nearest(pixels)
        patch = self._patch_cells(views, features, superpixel)
        return slots, valid, self._gather_by_owner(patch, features, slots)

    def _patch_cells(self, views: Views, features: CrossI2PFeatures,
                     superpixel: Tensor) -> Tensor:
        """Return the cells (..., H' W') in the patches of superpixels (...)."""
        return patch_mask(
            superpixel, self._superpixel_grid(views), features.grid, self.patches.margin)

    def _superpixel_grid(self, views: Views) -> CellGrid:
        return views.grid(self.patches.stride)

    @staticmethod
    def _gather_by_owner(of_groups: Tensor, features: CrossI2PFeatures, slots: Tensor) -> Tensor:
        """Return for some voxels (V, K) the values (V, G, ...) of their groups: (V, K, ...)."""
        owner = features.groups.owner[features.view_voxels.take(slots)] % of_groups.shape[1]
        view = torch.arange(len(owner), device=owner.device)[:, None]
        return of_groups[view, owner]

    @staticmethod
    def project_centres(views: Views, features: CrossI2PFeatures,
                        truth: GroundTruth) -> tuple[Tensor, Tensor]:
        """Project the centres of the superpoints: (V, G, 2), and which are visible (V, G)."""
        view_batch_index = views.view_batch_index
        # The voxels of a scan are consecutive rows, which the slots of the truth count.
        slot = features.groups.centre[view_batch_index] - features.view_voxels.idx[:, :1]
        slot = slot.clamp(min=0)
        visible = truth.visible.gather(1, slot) & features.groups.mask[view_batch_index]
        return truth.take_pixels(slot), visible


def _times(weight: float, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight * value for name, value in losses.items()}
