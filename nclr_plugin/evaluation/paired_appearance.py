"""The agreement of an image and a scan under very many poses."""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..geometry.camera import in_view, project_points
from ..utils.optional import optional_import
from .appearance import MIN_DEPTH, Appearance, in_two_pixels

MARGIN = 60.  # pixels about the image: what other poses may bring into it
REACH = 1.5  # times the median distance of neighbours: farther apart, two points are none
MIN_SHARE = 0.25  # of the pairs: a few agree by chance
GRADES = 512  # of contrast
POINTS_AT_ONCE = 100_000


class PairedAppearance:
    """The rank correlation of :meth:`Appearance.agreement`, nearly, of many poses at once.

    What depends on the pose least is found only once, at one pose: which points are neighbours,
    and how their intensities rank. Contrasts are ranked by their distribution there. That takes a
    tenth of the time. With fewer points, which are farther apart, it is a smoother function of the
    pose: the colours of two points differ as their intensities do until the pose is off by the
    distance of the two. Contrast at jumps of depth is left out: such neighbours part as the pose
    changes, and differ the more, whether that pose is right or not.

    Args:
        appearance: Appearance of image and scan.
        lidar2cam: (4, 4), about which poses are to be compared.
        size: Points that are compared.
        neighbours: Number of neighbours of each point in the image.
    """

    def __init__(self, appearance: Appearance, lidar2cam: np.ndarray, size: int,
                 neighbours: int) -> None:
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
        points = appearance.near(lidar2cam, MARGIN, size).points
        self.height, self.width = appearance.colours.shape[:2]
        self.colours = torch.from_numpy(appearance.colours.reshape(-1, 3))
        self.points = torch.from_numpy(points[:, :3]).float()
        self.cam2img = torch.from_numpy(appearance.cam2img).float()
        self.first = self.second = torch.zeros(0, dtype=torch.long)
        if len(points) <= neighbours:
            return
        pose = torch.from_numpy(lidar2cam).float()
        pixels = project_points(self.points, pose, self.cam2img)[0].numpy()
        distance, neighbour = spatial.cKDTree(pixels).query(pixels, neighbours + 1)
        self.reach = REACH * float(np.median(distance[:, -1]))
        pairs = np.stack((np.repeat(np.arange(len(pixels)), neighbours), neighbour[:, 1:].ravel()))
        pairs = np.unique(np.sort(pairs[:, distance[:, 1:].ravel() < self.reach], 0), axis=1)
        pairs = pairs[:, in_two_pixels(pixels, pairs)]
        self.first, self.second = torch.from_numpy(pairs)
        rank = stats.rankdata(np.abs(np.subtract(*points[pairs, 3]))) / max(1, pairs.shape[1])
        self.rank = torch.from_numpy(rank).float()
        contrast, paired = self._contrast(pose[None])
        contrast = contrast[paired > 0].sort().values
        self.grade = torch.searchsorted(contrast, torch.arange(GRADES).float()) / max(
            1, len(contrast))

    def correlation(self, lidar2cam: Tensor) -> Tensor:
        """Of poses (P, 4, 4): (P,); 0 where less than a quarter of the pairs is in view."""
        if not len(self.first):
            return torch.zeros(len(lidar2cam))
        count = max(1, POINTS_AT_ONCE // len(self.points))
        return torch.cat([self._correlation(some) for some in lidar2cam.float().split(count)])

    def _correlation(self, lidar2cam: Tensor) -> Tensor:
        contrast, paired = self._contrast(lidar2cam)
        grade = self.grade[contrast.round().long().clamp(max=GRADES - 1)]
        correlation = _pearson(self.rank, grade, paired)
        enough = paired.sum(1) >= MIN_SHARE * len(self.rank)
        return correlation.where(enough, torch.zeros_like(correlation))

    def _contrast(self, lidar2cam: Tensor):
        """Colour differences (P, M) of the pairs, and whether both points are in view and near."""
        pixels, depth = project_points(self.points, lidar2cam, self.cam2img)
        seen = in_view(pixels, depth, self.height, self.width, MIN_DEPTH)
        column, row = pixels.round().unbind(-1)
        index = row.clamp(0, self.height - 1) * self.width + column.clamp(0, self.width - 1)
        colours = self.colours[index.long()]
        contrast = (colours[:, self.first] - colours[:, self.second]).norm(dim=-1)
        near = (pixels[:, self.first] - pixels[:, self.second]).norm(dim=-1) < self.reach
        return contrast, (seen[:, self.first] & seen[:, self.second] & near).float()


def _pearson(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Correlation, (P,), of (M,) and (P, M), of what has a weight; 0 where one is constant."""
    count = weight.sum(1, keepdim=True).clamp(min=1)
    first = weight * (first - (weight * first).sum(1, keepdim=True) / count)
    second = weight * (second - (weight * second).sum(1, keepdim=True) / count)
    norm = first.norm(dim=1) * second.norm(dim=1)
    return (first * second).sum(1) / norm.clamp(min=1e-6)
