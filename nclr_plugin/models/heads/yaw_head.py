"""Yaw of each camera, by circular correlation of its image columns with the scan by azimuth."""
from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...geometry.camera import column_azimuth
from ...geometry.se3 import matmul_exact
from ...structures import Views
from ..layers.batching import ViewVoxels
from ..layers.attention import (POINT_WAVELENGTH, cell_indices, circular_harmonics,
                                rotate_harmonics, sinusoidal_encoding)

NMS_RADIUS = 8  # sectors: nearer ones belong to the same hypothesis
MIN_SEPARATION = 16  # sectors between two hypotheses
LOGIT_SCALE = 10.  # normalised features alone could not give confident logits
NUM_HYPOTHESES = 2
CODE_CHANNELS = 32  # of a position
PIXEL_WAVELENGTH = (2., 100.)  # cells, of the row


class YawPrediction(NamedTuple):
    """Predicted azimuth of the optical axis of each view.

    Attributes:
        logits: (V, S) of S equal sectors of azimuth, the first one centred on the x axis.
        code: (V, 2 K) expected :func:`circular harmonics
            <nclr_plugin.models.layers.attention.circular_harmonics>` of the azimuth; zero
            for a uniform distribution.
    """
    logits: Tensor
    code: Tensor

    def scan_azimuth_codes(self, azimuth: Tensor) -> Tensor:
        """Return the codes (V, W, 2 K), in the scan's frame, of azimuths (V, W) from the axis."""
        harmonics = circular_harmonics(azimuth, self.code.shape[1] // 2)
        return rotate_harmonics(harmonics, self.code[:, None])

    def bearing_codes(self, points: Tensor, view_voxels: ViewVoxels) -> Tensor:
        """Return the codes (V, L, 2 K) of the azimuth of points (N, 3) from each view's axis."""
        azimuth = torch.atan2(points[:, 1], points[:, 0])
        harmonics = circular_harmonics(azimuth, self.code.shape[1] // 2)
        return rotate_harmonics(harmonics[view_voxels.idx], self.code[:, None], inverse=True)


def column_codes(yaw: YawPrediction | None, views: Views, num_columns: int) -> Tensor:
    """Return the codes of the azimuth in which the columns of a feature map look, scan's frame.

    Args:
        yaw: Predictions for the V views; ``None``: not known.
        views: The batch.
        num_columns: Columns of the map.

    Returns:
        (V, num_columns, 2 K); K is 0 where the yaw is not known.
    """
    azimuth = column_azimuth(views.cam2img, num_columns, views.imgs.shape[-1] / num_columns)
    if yaw is None:
        return azimuth.new_zeros(*azimuth.shape, 0)
    return yaw.scan_azimuth_codes(azimuth)


@MODELS.register_module()
class YawHead(BaseModule):
    """Predict the yaw of each camera in the scan's frame.

    Yaw cannot be read off any local patch of the scan or the image. Both are pooled by azimuth, the
    scan over the full turn, the image over its field of view, and correlated: the yaw is the shift
    of the best fit. Attention would have to discover this comparison, which takes many times the
    samples.

    Args:
        point_channels: Channels of the point encoder's features.
        pixel_channels: Channels of the image encoder's features.
        embed_dims: Channels in which sectors and columns are compared.
        num_sectors: S.
        num_harmonics: K.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 embed_dims: int = 64,
                 num_sectors: int = 192,
                 num_harmonics: int = 16,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.point_mlp = _perceptron(point_channels + CODE_CHANNELS, embed_dims)
        self.pixel_mlp = _perceptron(pixel_channels + CODE_CHANNELS, embed_dims)
        self.point_azimuth_profile = _circular_convs(embed_dims)
        self.image_azimuth_profile = _circular_convs(embed_dims)
        self.num_sectors = num_sectors
        self.num_harmonics = num_harmonics

    def forward(self, point_feats: Tensor, points: Tensor, point_batch_index: Tensor,
                pixel_feats: Tensor, columns: Tensor, view_batch_index: Tensor,
                batch_size: int, hypothesis: int = 0) -> YawPrediction:
        """Predict the yaw of every view.

        Args:
            point_feats: (N, C_P) encoder features of the voxels.
            points: (N, 3), metres: centroids of the voxels, relative to the centre of their scan.
            point_batch_index: (N,) scan of each voxel.
            pixel_feats: (V, C_I, H', W') encoder features of the images.
            columns: (V, S) columns of the map onto which the sectors project, see
                :func:`~nclr_plugin.geometry.camera.sector_columns`.
            view_batch_index: (V,) scan of each view.
            batch_size: Number of scans.
            hypothesis: In evaluation, rank of the yaw that ``code`` encodes: 0 for the best.
        """
        range_height = torch.stack((points[:, :2].norm(dim=1), points[:, 2]), 1)
        code = sinusoidal_encoding(range_height, CODE_CHANNELS, POINT_WAVELENGTH)
        rows = self.point_mlp(torch.cat((point_feats, code.to(point_feats)), 1))
        azimuth = torch.atan2(points[:, 1], points[:, 0])
        scan = self._by_sector(rows, azimuth, point_batch_index, batch_size)
        scan = F.normalize(self.point_azimuth_profile(scan)[view_batch_index].float(), dim=1)

        num_views, _, height, width = pixel_feats.shape
        cells = pixel_feats.flatten(2).transpose(1, 2)
        code = sinusoidal_encoding(
            cell_indices(height, width, points)[:, 1:], CODE_CHANNELS, PIXEL_WAVELENGTH)
        cells = self.pixel_mlp(
            torch.cat((cells, code.to(cells).expand(num_views, -1, -1)), 2))
        cells = cells.view(num_views, height, width, -1).transpose(1, 3).float()
        image = torch.cat((cells.mean(3), cells.amax(3)), 1)
        shown = ((columns >= 0) & (columns <= width - 1)).float()
        image = _interpolate(image, columns) * shown[:, None]
        # Not normalised: a column without structure can have little weight.
        image = LOGIT_SCALE * self.image_azimuth_profile(image) * shown[:, None]

        logits = _circular_correlation(scan, image) / shown.sum(1, keepdim=True).clamp(min=1)
        probs = logits.softmax(1) if self.training else self.mode_probs(logits, hypothesis)
        return YawPrediction(logits, matmul_exact(probs, self._sector_codes(logits)))

    def mode_probs(self, logits: Tensor, hypothesis: int) -> Tensor:
        """Return the probabilities (V, S) of the sectors about one hypothesis alone.

        Evaluation uses these because the mean of two modes is meaningless.
        """
        mode = self._modes(logits, hypothesis + 1)[-1]
        return logits.masked_fill(self._distance(mode) > NMS_RADIUS, -torch.inf).softmax(1)

    def hypothesis_probs(self, logits: Tensor) -> Tensor:
        """Return the probabilities (V, 2) of the best and the second hypothesis."""
        return torch.stack([
            logits.softmax(1).masked_fill(self._distance(mode) > NMS_RADIUS, 0).sum(1)
            for mode in self._modes(logits, NUM_HYPOTHESES)], 1)

    def _modes(self, logits: Tensor, count: int) -> list[Tensor]:
        """Return the best sectors (V,) that lie apart, by non-maximum suppression."""
        modes = []
        for _ in range(count):
            modes.append(logits.argmax(1))
            logits = logits.masked_fill(self._distance(modes[-1]) <= MIN_SEPARATION, -torch.inf)
        return modes

    def _distance(self, sector: Tensor) -> Tensor:
        """Return the distance (V, S) of every sector from one (V,), in sectors."""
        half = self.num_sectors // 2
        offset = torch.arange(self.num_sectors, device=sector.device) - sector[:, None]
        return ((offset + half) % self.num_sectors - half).abs()

    def loss(self, yaw: YawPrediction, lidar2cam: Tensor) -> Tensor:
        """Return the cross-entropy of the two sectors next to the true yaw, linearly weighted.

        Args:
            yaw: Prediction of V views.
            lidar2cam: (V, 4, 4), ground truth.
        """
        axis = lidar2cam[:, 2, :2]  # the optical axis in the LiDAR frame
        position = torch.atan2(axis[:, 1], axis[:, 0]) * (self.num_sectors / (2 * torch.pi))
        lower = position.floor()
        part = position - lower
        log_prob = yaw.logits.log_softmax(1)
        index = torch.stack((lower, lower + 1), 1).long() % self.num_sectors
        weight = torch.stack((1 - part, part), 1)
        return -(log_prob.gather(1, index) * weight).sum(1).mean()

    def _by_sector(self, rows: Tensor, azimuth: Tensor, group: Tensor,
                   num_groups: int) -> Tensor:
        """Pool rows (N, D) >= 0 by group and sector: means and maxima, (G, 2 D, S)."""
        sector = (azimuth * (self.num_sectors / (2 * torch.pi))).round().long() % self.num_sectors
        index = group * self.num_sectors + sector
        rows = rows.float()  # half precision loses small terms in a sum of thousands
        total = rows.new_zeros(num_groups * self.num_sectors, rows.shape[1])
        total = total.index_add(0, index, rows)
        count = rows.new_zeros(len(total)).index_add(0, index, torch.ones_like(rows[:, 0]))
        mean = total / count.clamp(min=1)[:, None]
        largest = torch.zeros_like(mean).scatter_reduce(
            0, index[:, None].expand_as(rows), rows, 'amax')
        summary = torch.cat((mean, largest), 1)
        return summary.view(num_groups, self.num_sectors, -1).transpose(1, 2)

    def _sector_codes(self, like: Tensor) -> Tensor:
        """Return the codes (S, 2 K) of the centres of the sectors."""
        step = 2 * torch.pi / self.num_sectors
        return circular_harmonics(
            torch.arange(self.num_sectors, device=like.device, dtype=like.dtype) * step,
            self.num_harmonics)


def _perceptron(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels),
        nn.ReLU())


def _circular_convs(channels: int) -> nn.Sequential:
    """Convolve the sectors around the circle."""
    def convolution(in_channels: int) -> nn.Conv1d:
        return nn.Conv1d(in_channels, channels, 9, padding=4, padding_mode='circular')

    return nn.Sequential(convolution(2 * channels), nn.ReLU(), convolution(channels))


def _interpolate(columns: Tensor, where: Tensor) -> Tensor:
    """Interpolate columns (V, C, W) at real-valued columns (V, S): (V, C, S)."""
    where = where.clamp(0, columns.shape[2] - 1)
    lower = where.floor().clamp(max=columns.shape[2] - 2)
    part = (where - lower)[:, None]
    lower = lower.long()[:, None].expand(-1, columns.shape[1], -1)
    return columns.gather(2, lower) * (1 - part) + columns.gather(2, lower + 1) * part


def _circular_correlation(scan: Tensor, image: Tensor) -> Tensor:
    """Correlate (V, D, S) and (V, D, S): for each s, the sum over k of scan[s + k] . image[k]."""
    sectors = torch.arange(scan.shape[2], device=scan.device)
    product = matmul_exact(image.transpose(1, 2), scan)  # (V, k, l)
    index = (sectors[:, None] + sectors) % len(sectors)  # [k, s] -> l
    return product.gather(2, index.expand_as(product)).sum(1)
