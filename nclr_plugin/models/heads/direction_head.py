"""Which way each camera looks: the image's columns slid along the scan's horizon."""
from __future__ import annotations

from typing import List, NamedTuple, Tuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from nclr_plugin.geometry.se3 import matmul_exact
from ..position_encoding import azimuth_code, cell_grid, sinusoidal_encoding

REACH = 8  # sectors about the best one that are the same candidate
APART = 16  # sectors between candidates
SHARPNESS = 10.  # so that features of size one can be sure


class Direction(NamedTuple):
    """Belief on the azimuth of each view's optical axis.

    Attributes:
        logits: (V, S) of S equal sectors of azimuth, the first one centred on the x axis.
        code: (V, 2 K) the expected code of the azimuth, see
            :func:`~nclr_plugin.models.position_encoding.azimuth_code`: zero for a belief that
            has no preference.
    """
    logits: Tensor
    code: Tensor


@MODELS.register_module()
class DirectionHead(BaseModule):
    """Correlates the horizon that the scan has with the part of it that the image shows.

    A placement's yaw is the one unknown of which no part of a scan and of an image alone says
    anything. Both are summarised by azimuth, the scan all around, the image over its field of
    view; the direction is where the one fits the other. Attention has to discover this sliding
    comparison, which takes it many times the samples.

    Args:
        point_channels, pixel_channels: Channels of the encoders' features.
        embed_dims: Channels in which sectors and columns are compared.
        num_sectors: S.
        num_harmonics: K.
        wavelength: Shortest and longest wavelength of the codes of range and height, metres.

    Attributes:
        candidate: Which of the directions that the belief holds apart evaluation goes by: 0, the
            default, is the best one, 1 the next.
    """

    def __init__(self,
                 point_channels: int,
                 pixel_channels: int,
                 embed_dims: int = 64,
                 num_sectors: int = 192,
                 num_harmonics: int = 16,
                 wavelength: Tuple[float, float] = (2., 200.),
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.code_channels = 32
        self.point_mlp = _perceptron(point_channels + self.code_channels, embed_dims)
        self.pixel_mlp = _perceptron(pixel_channels + self.code_channels, embed_dims)
        self.scan_horizon = _context(embed_dims)
        self.image_horizon = _context(embed_dims)
        self.num_sectors = num_sectors
        self.num_harmonics = num_harmonics
        self.wavelength = wavelength
        self.candidate = 0

    def forward(self, point_feats: Tensor, points: Tensor, point_batch_index: Tensor,
                pixel_feats: Tensor, columns: Tensor, view_batch_index: Tensor,
                batch_size: int) -> Direction:
        """The belief of every view.

        Args:
            point_feats: (N, C_P) encoder features of the voxels.
            points: (N, 3), metres: their centroids, relative to the centre of their scan.
            point_batch_index: (N,) the scan of each.
            pixel_feats: (V, C_I, H', W') encoder features of the images.
            columns: (V, S) the column of the map, a real number, in which each sector of azimuth
                lies as the camera sees them, the first one on its optical axis.
            view_batch_index: (V,) the scan of each view.
            batch_size: Number of scans.
        """
        seen = torch.stack((points[:, :2].norm(dim=1), points[:, 2]), 1)
        code = sinusoidal_encoding(seen, self.code_channels, self.wavelength)
        rows = self.point_mlp(torch.cat((point_feats, code.to(point_feats)), 1))
        azimuth = torch.atan2(points[:, 1], points[:, 0])
        scan = self._by_sector(rows, azimuth, point_batch_index, batch_size)
        scan = F.normalize(self.scan_horizon(scan)[view_batch_index].float(), dim=1)

        num_views, _, height, width = pixel_feats.shape
        cells = pixel_feats.flatten(2).transpose(1, 2)
        code = sinusoidal_encoding(
            cell_grid(height, width, points)[:, 1:], self.code_channels, (2., 100.))
        cells = self.pixel_mlp(
            torch.cat((cells, code.to(cells).expand(num_views, -1, -1)), 2))
        cells = cells.view(num_views, height, width, -1).transpose(1, 3).float()
        image = torch.cat((cells.mean(3), cells.amax(3)), 1)
        shown = ((columns >= 0) & (columns <= width - 1)).float()
        image = _interpolate(image, columns) * shown[:, None]
        # Not normalised: a column that tells little can say so.
        image = SHARPNESS * self.image_horizon(image) * shown[:, None]

        logits = _slide(scan, image) / shown.sum(1, keepdim=True).clamp(min=1)
        return Direction(logits, matmul_exact(self._belief(logits), self._sector_codes(logits)))

    def _belief(self, logits: Tensor) -> Tensor:
        """(V, S) probabilities; in evaluation of the sectors about one candidate alone: the mean
        of two is none."""
        if self.training:
            return logits.softmax(1)
        best = self._candidates(logits, self.candidate + 1)[-1]
        return logits.masked_fill(self._distance(best) > REACH, -torch.inf).softmax(1)

    def shares(self, logits: Tensor) -> Tensor:
        """(V, S) -> (V, 2): how much of the belief is in the first and the second candidate."""
        return torch.stack([
            logits.softmax(1).masked_fill(self._distance(best) > REACH, 0).sum(1)
            for best in self._candidates(logits, 2)], 1)

    def _candidates(self, logits: Tensor, count: int) -> List[Tensor]:
        """The best sectors (V,) that lie apart."""
        found = []
        for _ in range(count):
            found.append(logits.argmax(1))
            logits = logits.masked_fill(self._distance(found[-1]) <= APART, -torch.inf)
        return found

    def _distance(self, sector: Tensor) -> Tensor:
        """(V,) sectors -> (V, S) how many sectors each lies from them."""
        half = self.num_sectors // 2
        away = torch.arange(self.num_sectors, device=sector.device) - sector[:, None]
        return ((away + half) % self.num_sectors - half).abs()

    def loss(self, direction: Direction, lidar2cam: Tensor) -> Tensor:
        """Cross-entropy of the sectors next to the true direction, weighted by nearness.

        Args:
            direction: Of V views.
            lidar2cam: (V, 4, 4).
        """
        axis = lidar2cam[:, 2, :2]  # the optical axis in the LiDAR frame
        position = torch.atan2(axis[:, 1], axis[:, 0]) * (self.num_sectors / (2 * torch.pi))
        lower = position.floor()
        part = position - lower
        log_prob = direction.logits.log_softmax(1)
        index = torch.stack((lower, lower + 1), 1).long() % self.num_sectors
        weight = torch.stack((1 - part, part), 1)
        return -(log_prob.gather(1, index) * weight).sum(1).mean()

    def _by_sector(self, rows: Tensor, azimuth: Tensor, group: Tensor,
                   num_groups: int) -> Tensor:
        """Means and maxima of rows (N, D) >= 0 by group and sector: (G, 2 D, S)."""
        sector = (azimuth * (self.num_sectors / (2 * torch.pi))).round().long() % self.num_sectors
        index = group * self.num_sectors + sector
        rows = rows.float()  # half precision loses the small in a sum of thousands
        total = rows.new_zeros(num_groups * self.num_sectors, rows.shape[1])
        total = total.index_add(0, index, rows)
        count = rows.new_zeros(len(total)).index_add(0, index, torch.ones_like(rows[:, 0]))
        mean = total / count.clamp(min=1)[:, None]
        largest = torch.zeros_like(mean).scatter_reduce(
            0, index[:, None].expand_as(rows), rows, 'amax')
        summary = torch.cat((mean, largest), 1)
        return summary.view(num_groups, self.num_sectors, -1).transpose(1, 2)

    def _sector_codes(self, like: Tensor) -> Tensor:
        """(S, 2 K) codes of the sectors' centres."""
        step = 2 * torch.pi / self.num_sectors
        return azimuth_code(
            torch.arange(self.num_sectors, device=like.device, dtype=like.dtype) * step,
            self.num_harmonics)


def _perceptron(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, channels),
        nn.ReLU())


def _context(channels: int) -> nn.Sequential:
    """Each sector with its neighbours, round and round."""
    def convolution(in_channels: int) -> nn.Conv1d:
        return nn.Conv1d(in_channels, channels, 9, padding=4, padding_mode='circular')

    return nn.Sequential(convolution(2 * channels), nn.ReLU(), convolution(channels))


def _interpolate(columns: Tensor, where: Tensor) -> Tensor:
    """(V, C, W) values of columns at real columns (V, S) -> (V, C, S), linearly."""
    where = where.clamp(0, columns.shape[2] - 1)
    lower = where.floor().clamp(max=columns.shape[2] - 2)
    part = (where - lower)[:, None]
    lower = lower.long()[:, None].expand(-1, columns.shape[1], -1)
    return columns.gather(2, lower) * (1 - part) + columns.gather(2, lower + 1) * part


def _slide(scan: Tensor, image: Tensor) -> Tensor:
    """(V, D, S) each -> (V, S): for every turn s, the sum over k of scan[s + k] . image[k]."""
    sectors = torch.arange(scan.shape[2], device=scan.device)
    product = matmul_exact(image.transpose(1, 2), scan)  # (V, k, l)
    index = (sectors[:, None] + sectors) % len(sectors)  # [k, s] -> l
    return product.gather(2, index.expand_as(product)).sum(1)
