"""CrossI2P: self-supervised cross-modal learning for image-to-point-cloud registration."""
from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional, Tuple

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from nclr_plugin.geometry.camera import cell_centres
from nclr_plugin.geometry.correspondence import nearest_cell
from nclr_plugin.geometry.se3 import matmul_exact, yaw_rotation
from ..heads.contrastive_head import Instances
from ..heads.direction_head import Direction
from ..heads.matching_head import Matches
from ..heads.patch_matching import patch_cells, refine_matches
from ..losses.info_nce import pixel_to_point_loss, point_to_pixel_loss
from ..losses.registration_loss import reprojection_loss, squared_pose_loss
from ..necks.superpoints import Superpoints, group_superpoints
from ..position_encoding import scan_encoding, view_encoding
from ..ragged import ViewPoints
from ..sampling import sample_columns
from .base import CalibrationModel, GroundTruth, columns_of

DIRECTION_LEVEL = -2  # of the image encoder: a step finer than its last map
POINT_WAVELENGTH = (2., 200.)  # metres
PIXEL_WAVELENGTH = (2., 100.)  # superpixels


class Registration(NamedTuple):
    """What both branches say of a batch of B scans and V views.

    ``points`` ... ``direction`` as in :class:`~nclr_plugin.models.pretrainers.base.Features`.

    Attributes:
        graph: of the point encoder, the same for the second transformation.
        groups: the superpoints.
        encoded_superpoints: (B, G, E) before the two modalities meet: what contrastive learning
            sees.
        encoded_superpixels: (V, E, h, w), likewise.
        superpoints: (B, G, D) normalised, to be compared with superpixels; ``None`` in one stage.
        superpixels: (V, h w, D) normalised; ``None`` likewise.
    """
    points: Tensor
    pixels: Tensor
    point_logits: Optional[Tensor]
    pixel_logits: Optional[Tensor]
    seen: ViewPoints
    direction: Optional[Direction]
    graph: Tensor
    groups: Superpoints
    encoded_superpoints: Tensor
    encoded_superpixels: Tensor
    superpoints: Optional[Tensor]
    superpixels: Optional[Tensor]


@MODELS.register_module()
class CrossI2P(CalibrationModel):
    """Contrastive learning, two-stage matching and a differentiable PnP in one network.

    The rows of the paper's Table 3 are switches: ``contrastive_head=None`` (without SL),
    ``transformer=None`` (without RM: one stage, every point against the whole overlap),
    ``loss_weights=dict(pose=0)`` (without D-PNP) and ``loss_balancer=None`` (without DC).

    Beside the paper: the overlap is detected as in NCLR, because seven superpoints of eight have no
    superpixel and a nearest one always exists; and ``direction_head``, ``None`` for the paper's
    model, tells superpixels which way they look, without which a free yaw takes many times the
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
        overlap_head, direction_head, pose_head: Configs of the heads that NCLR has, too.
        embed_dims: Channels of superpoints and superpixels.
        num_superpoints: Of a scan.
        radius: r of Eq. 8, metres.
        group_size: Points of a superpoint, at most.
        superpixel_stride: Pixels per superpixel.
        num_candidates: Superpixels in which a superpoint's points are looked for.
        patch_margin: Cells of the stride-4 map by which a patch is larger on each side: a
            superpoint near the camera covers several superpixels.
        refine_reach: Cells to each side of the best one that a fine match is the mean of.
        loss_weights: ``contrastive``, ``matching``, ``overlap``, ``direction`` and ``pose``. The
            paper's single lambda is 0.5.
        translation_weight: lambda of Eq. 14.
        reprojection_target: I_i of Eq. 15: ``'true'``, the pixels of the true pose, or
            ``'matched'``, those that the pose was solved from. At a minimum of that sum its
            gradient with respect to the pose vanishes, so the latter only asks for matches that
            agree with each other.
        scale, jitter: Of the second geometric transformation (Eq. 1): a yaw of any angle, a scale
            of exp(+-scale), Gaussian noise of the coordinates, metres. The first one is the
            placement that the scan has anyway.
        kwargs: Of :class:`~nclr_plugin.models.pretrainers.base.CalibrationModel`.

    Raises:
        ValueError: When ``reprojection_target`` is none of the two.
    """

    def __init__(self,
                 point_backbone: dict,
                 image_branch: dict,
                 matching_head: dict,
                 transformer: Optional[dict] = None,
                 contrastive_head: Optional[dict] = None,
                 overlap_head: Optional[dict] = None,
                 direction_head: Optional[dict] = None,
                 pose_head: Optional[dict] = None,
                 embed_dims: int = 256,
                 num_superpoints: int = 1280,
                 radius: float = 2.,
                 group_size: int = 32,
                 superpixel_stride: int = 16,
                 num_candidates: int = 3,
                 patch_margin: int = 2,
                 refine_reach: int = 1,
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
                out_channels=embed_dims,
                stride=superpixel_stride))
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
                pixel_channels=self.image_branch.level_channels[DIRECTION_LEVEL]),
            overlap_head, direction_head, pose_head)
        self.embed_dims = embed_dims
        self.num_superpoints = num_superpoints
        self.radius = radius
        self.group_size = group_size
        self.superpixel_stride = superpixel_stride
        self.num_candidates = num_candidates
        self.patch_margin = patch_margin
        self.refine_reach = refine_reach
        self.loss_weights = {
            **dict(contrastive=.5, matching=.5, overlap=.5, direction=.5, pose=.5),
            **(loss_weights or {})}
        self.translation_weight = translation_weight
        self.reprojection_target = reprojection_target
        self.scale = scale
        self.jitter = jitter

    def extract_features(self, inputs: dict) -> Registration:
        """Encode both sides, let superpoints and superpixels meet, bring that back to the points
        and pixels, and apply the heads."""
        voxels, views = inputs['voxels'], inputs['view_batch_index']
        batch_size = len(voxels.origin)
        points = voxels.relative_points
        graph = self.point_backbone.graph(points, voxels.batch_index, batch_size)
        encoded = self.point_backbone(voxels.feats, voxels.batch_index, batch_size, graph)
        maps = self.image_branch.encode(inputs['imgs'])
        direction = self.direction_head and self.direction_head(
            encoded, points, voxels.batch_index, maps[DIRECTION_LEVEL],
            self.sector_columns(inputs, maps[DIRECTION_LEVEL]), views, batch_size)

        groups = group_superpoints(points, voxels.batch_index, batch_size, self.num_superpoints,
                                   self.radius, self.group_size)
        encoded_superpoints = self.superpoint_pooling(encoded, points, groups, self.radius)
        encoded_superpixels = self.superpixel_pyramid(maps, *inputs['imgs'].shape[-2:])
        superpoints, superpixels = encoded_superpoints, encoded_superpixels
        coarse_points = coarse_pixels = None
        if self.transformer is not None:
            centres = points[groups.centre]
            codes = self.column_codes(inputs, superpixels, direction)
            superpoints, superpixels = self._placed(superpoints, centres, superpixels, codes)
            superpoints, superpixels = self.transformer(
                superpoints, centres, groups.mask, superpixels, views)
            coarse_points = self.coarse_head.embed_points(superpoints, centres)
            coarse_pixels = self.coarse_head.embed_pixels(superpixels, codes)

        context = superpoints.flatten(0, 1)[groups.owner]
        point_feats = self.point_out(torch.cat((encoded, context.to(encoded)), 1))
        pixel_feats = self.image_branch.decode(maps)
        pixel_feats = pixel_feats + nn.functional.interpolate(
            self.pixel_out(superpixels), size=pixel_feats.shape[-2:], mode='bilinear',
            align_corners=False)
        # All but `encoded`, in whose place are what the encoders say here.
        *features, _ = self.compare(inputs, point_feats, pixel_feats, direction)
        return Registration(*features, graph, groups, encoded_superpoints, encoded_superpixels,
                            coarse_points, coarse_pixels)

    def _placed(self, superpoints: Tensor, centres: Tensor, superpixels: Tensor,
                codes: Tensor) -> Tuple[Tensor, Tensor]:
        """Features with the codes of their own positions added."""
        height = superpixels.shape[2]
        where = view_encoding(height, codes, self.embed_dims, PIXEL_WAVELENGTH)
        where = where.transpose(1, 2).reshape(superpixels.shape)
        superpoints = superpoints + scan_encoding(
            centres, self.embed_dims, POINT_WAVELENGTH).to(superpoints)
        return superpoints, superpixels + where.to(superpixels)

    def loss(self, inputs: dict, features: Registration) -> Dict[str, Tensor]:
        """The terms of Eq. 17 with fixed weights, beside overlap and direction."""
        truth = self.ground_truth(inputs, features)
        weight = self.loss_weights
        losses = {}
        if self.contrastive_head is not None:
            losses.update(_times(weight['contrastive'], self.contrastive_head.loss(
                self.instances(inputs, features, truth))))
        if self.transformer is not None:
            losses.update(_times(weight['matching'], self.coarse_loss(inputs, features, truth)))
        losses.update(_times(weight['matching'], self.fine_loss(inputs, features, truth)))
        losses.update(self.overlap_and_direction_losses(inputs, features, truth))
        if weight['pose'] * self.pose_loss_scale > 0:
            losses.update(_times(weight['pose'], self.pose_loss(inputs, features, truth)))
        return losses

    def instances(self, inputs: dict, features: Registration, truth: GroundTruth) -> Instances:
        """What contrastive learning tells apart: superpoints, and the superpixels they are in."""
        voxels, views = inputs['voxels'], inputs['view_batch_index']
        groups = features.groups
        moved = self.transformed(voxels.relative_points, voxels.batch_index)
        again = self.point_backbone(torch.cat((moved, voxels.feats[:, 3:]), 1),
                                    voxels.batch_index, len(voxels.origin), features.graph)
        second = self.superpoint_pooling(again, moved, groups, self.radius)

        pixels, visible = self._of_centres(inputs, features, truth)
        cell = self._superpixel_of(inputs, pixels)
        image = features.encoded_superpixels.flatten(2).transpose(1, 2)
        image = image.gather(1, cell[..., None].expand(-1, -1, image.shape[-1]))
        centres = voxels.relative_points[groups.centre]
        near = torch.cdist(centres, centres) < self.radius
        return Instances(features.encoded_superpoints[views], second[views], image,
                         groups.mask[views], visible, near[views],
                         cell[:, :, None] == cell[:, None])

    @torch.no_grad()
    def transformed(self, points: Tensor, batch_index: Tensor) -> Tensor:
        """The second geometric transformation of Eq. 1, for each scan its own."""
        batch_size = int(batch_index.max()) + 1
        draw = torch.rand(2, batch_size, device=points.device)
        rotation = yaw_rotation(2 * torch.pi * draw[0]) * torch.exp(
            self.scale * (2 * draw[1] - 1))[:, None, None]
        moved = matmul_exact(rotation.to(points)[batch_index], points[..., None])[..., 0]
        return moved + self.jitter * torch.randn_like(moved)

    def coarse_loss(self, inputs: dict, features: Registration,
                    truth: GroundTruth) -> Dict[str, Tensor]:
        """First stage: each superpoint against the superpixels of a view, and back."""
        height, width = inputs['imgs'].shape[-2:]
        stride = self.superpixel_stride
        pixels, visible = self._of_centres(inputs, features, truth)
        cell = self._superpixel_of(inputs, pixels)
        centres = cell_centres(height, width, stride).to(pixels).view(-1, 2)
        distance = torch.cdist(pixels, centres.expand(len(pixels), -1, -1))
        logits = self.coarse_similarity(inputs, features) / self.coarse_head.temperature
        # A neighbouring superpixel, of which the group covers a part, is no negative.
        margin = stride
        outside = features.groups.mask[inputs['view_batch_index']] & ~visible
        return dict(
            loss_coarse_point=point_to_pixel_loss(logits, cell, distance, visible, margin),
            loss_coarse_pixel=pixel_to_point_loss(
                columns_of(logits, cell), columns_of(distance, cell), visible, margin, outside))

    def coarse_similarity(self, inputs: dict, features: Registration) -> Tensor:
        """(V, G, h w) similarities of superpoints and superpixels."""
        return self.coarse_head.similarity(
            features.superpoints[inputs['view_batch_index']], features.superpixels)

    def fine_loss(self, inputs: dict, features: Registration,
                  truth: GroundTruth) -> Dict[str, Tensor]:
        """Second stage: points against the pixels of their patch, and back.

        The patches are those of the true superpixels. In one stage a patch is the whole map.
        """
        drawn, valid, patch = self._true_patches(inputs, features, truth, self.num_samples)
        logits, distance, cell, valid = self.pairs(inputs, features, truth, drawn, valid)
        valid = valid & patch.gather(2, cell[..., None])[..., 0]
        margin = self.negative_margin * self.image_branch.stride
        in_patch = logits.masked_fill(~patch.scatter(2, cell[..., None], True), -torch.inf)
        return dict(
            loss_fine_point=point_to_pixel_loss(in_patch, cell, distance, valid, margin),
            loss_fine_pixel=pixel_to_point_loss(
                columns_of(logits, cell), columns_of(distance, cell), valid, margin))

    def pose_loss(self, inputs: dict, features: Registration,
                  truth: GroundTruth) -> Dict[str, Tensor]:
        """Eq. 13-16: refined matches within the true patches, EPnP, pose and reprojection."""
        drawn, valid, patch = self._true_patches(
            inputs, features, truth, self.pose_head.num_points)
        matches, found = self._refine(inputs, features, drawn, patch)
        points = inputs['voxels'].points[features.seen.voxel.gather(1, drawn)]
        cam2img = inputs['cam2img']
        solution = self.pose_head.solve(points, matches.pixels, valid & found, cam2img)
        target = matches.pixels
        if self.reprojection_target == 'true':
            target = truth.pixels.gather(1, drawn[..., None].expand(-1, -1, 2))
        return dict(
            loss_pose=squared_pose_loss(solution, inputs['lidar2cam'], self.translation_weight),
            loss_reprojection=reprojection_loss(
                solution, points, target, valid & found, cam2img, self.image_branch.stride))

    def match_points(self, inputs: dict, features: Registration, drawn: Tensor,
                     permitted: Tensor) -> Tuple[Matches, Tensor]:
        """Fine matches in the patches of the coarse ones; see the base class."""
        cells = permitted[:, None].expand(-1, drawn.shape[1], -1)
        if self.transformer is not None:
            similarity = self.coarse_similarity(inputs, features)
            best = similarity.topk(min(self.num_candidates, similarity.shape[2])).indices
            patch = self._patches(inputs, best).any(2)
            cells = cells & self._by_owner(patch, features, drawn)
        return self._refine(inputs, features, drawn, cells)

    def _refine(self, inputs: dict, features: Registration, drawn: Tensor,
                permitted: Tensor) -> Tuple[Matches, Tensor]:
        points = self.embed_points(inputs, features, features.seen.voxel.gather(1, drawn))
        head = self.matching_head
        return refine_matches(
            head.similarity(points, features.pixels), permitted, *inputs['imgs'].shape[-2:],
            self.image_branch.stride, head.match_temperature,
            self.refine_reach if head.match_mode == 'soft' else 0)

    def _true_patches(self, inputs: dict, features: Registration, truth: GroundTruth,
                      size: int) -> Tuple[Tensor, Tensor, Tensor]:
        """Sampled visible points whose superpoint is visible, and the cells of its superpixel.

        Returns:
            tuple: drawn (V, K), whether there is one (V, K), permitted cells (V, K, H' W').
        """
        visible = truth.visible
        if self.transformer is None:
            drawn, valid = sample_columns(visible, size)
            return drawn, valid, valid.new_ones(*drawn.shape, features.pixels.shape[1])
        pixels, centre_visible = self._of_centres(inputs, features, truth)
        every = torch.arange(visible.shape[1], device=visible.device).expand(len(visible), -1)
        visible = visible & self._by_owner(centre_visible, features, every)
        drawn, valid = sample_columns(visible, size)
        patch = self._patches(inputs, self._superpixel_of(inputs, pixels))
        return drawn, valid, self._by_owner(patch, features, drawn)

    def _patches(self, inputs: dict, superpixel: Tensor) -> Tensor:
        return patch_cells(superpixel, *inputs['imgs'].shape[-2:], self.superpixel_stride,
                           self.image_branch.stride, self.patch_margin)

    def _superpixel_of(self, inputs: dict, pixels: Tensor) -> Tensor:
        return nearest_cell(pixels, *inputs['imgs'].shape[-2:], self.superpixel_stride)[0]

    @staticmethod
    def _by_owner(of_groups: Tensor, features: Registration, drawn: Tensor) -> Tensor:
        """Values of the groups (V, G, ...) of the drawn voxels (V, K) -> (V, K, ...)."""
        owner = features.groups.owner[features.seen.voxel.gather(1, drawn)] % of_groups.shape[1]
        view = torch.arange(len(owner), device=owner.device)[:, None]
        return of_groups[view, owner]

    @staticmethod
    def _of_centres(inputs: dict, features: Registration,
                    truth: GroundTruth) -> Tuple[Tensor, Tensor]:
        """Projections (V, G, 2) of the superpoints' centres, and which are visible (V, G)."""
        views = inputs['view_batch_index']
        # The voxels of a scan are consecutive rows, which the columns of the truth count.
        column = features.groups.centre[views] - features.seen.voxel[:, :1]
        column = column.clamp(min=0)
        pixels = truth.pixels.gather(1, column[..., None].expand(-1, -1, 2))
        return pixels, truth.visible.gather(1, column) & features.groups.mask[views]


def _times(weight: float, losses: Dict[str, Tensor]) -> Dict[str, Tensor]:
    return {name: weight * value for name, value in losses.items()}
