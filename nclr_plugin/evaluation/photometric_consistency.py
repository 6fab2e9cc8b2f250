"""Photometric consistency of an image and a scan under a pose, without a network."""
from __future__ import annotations

from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..datasets.scans import drop_invalid_rows
from ..geometry.camera import in_view, project_points, resize_intrinsics
from ..utils.optional import optional_import

MAX_WIDTH = 620  # pixels; wider images are reduced, because scans resolve no finer detail
MIN_DEPTH = 1.  # metres
NUM_NEIGHBOURS = 4
MAX_PAIR_DISTANCE = 8.  # pixels of the reduced image
MIN_PAIRS = 1000
MIN_DIFFERENT = 0.1  # share of pairs that must differ in intensity for intensities to count
DEPTH_RATIO = 1.15  # neighbours with a larger ratio of depths are on different surfaces
MIN_JUMPS = 100
EPSILON = 1e-12
MIN_CONSISTENCY = 0.2
# Weights of reflectance and step. The weights of one alone are set so that pairs of different
# places hardly ever reach MIN_CONSISTENCY; configs/crossi2p/README.md says how.
BOTH = 1., 0.3
REFLECTANCE_ALONE = 1.5
STEP_ALONE = 0.36
MIN_JUMPS_ALONE = 1000  # with fewer, the step is too often large by chance

BATCH_MARGIN = 60.  # pixels about the image that other poses may bring into view
BATCH_MAX_DISTANCE = 1.5  # times the median distance of neighbours; pairs farther apart are dropped
BATCH_MIN_SHARE = 0.25  # share of pairs in view; fewer correlate by chance
NUM_LEVELS = 512  # levels of contrast
POINTS_AT_ONCE = 100_000


class Evidence(NamedTuple):
    """What an image says about a pose.

    Attributes:
        reflectance: Rank correlation of the colour and intensity differences of neighbouring
            points; NaN where intensities hardly differ.
        num_pairs: Number of pairs of neighbours compared.
        step: Mean log contrast across jumps of depth minus that elsewhere; NaN where hardly any
            depth jumps.
        num_jumps: Number of pairs across jumps, or elsewhere where these are fewer.
    """
    reflectance: float = np.nan
    num_pairs: int = 0
    step: float = np.nan
    num_jumps: int = 0

    @property
    def score(self) -> float:
        """Return the weighted sum of the available parts; 0.2 is the limit for all of them.

        The score is 0 without any part, and for a step alone of fewer than 1000 jumps.
        """
        if np.isfinite(self.reflectance) and np.isfinite(self.step):
            return BOTH[0] * self.reflectance + BOTH[1] * self.step
        if np.isfinite(self.reflectance):
            return REFLECTANCE_ALONE * self.reflectance
        return STEP_ALONE * self.step if self.num_jumps >= MIN_JUMPS_ALONE else 0.


class PhotometricConsistency:
    """An image and a scan, prepared to be compared under many poses.

    Args:
        image: RGB, (H, W, 3) uint8.
        points: (N, 4) x, y, z, intensity; LiDAR frame, metres, intensities of any scale. Rows
            without a measurement are dropped, see
            :func:`~nclr_plugin.datasets.scans.drop_invalid_rows`.
        cam2img: (3, 3).

    Attributes:
        points: (M, 4), the points kept.
        colours: (h, w, 3) float32 CIELAB of the reduced and smoothed image.
        cam2img: (3, 3) float64 of the reduced image.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, cam2img: np.ndarray) -> None:
        cv2 = optional_import('cv2', 'opencv-python-headless', 'Comparing image and scan')
        image, self.cam2img = reduce_image(image, np.asarray(cam2img, np.float64))
        smooth = cv2.GaussianBlur(image, (3, 3), 0)
        self.colours = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
        self.points = drop_invalid_rows(np.asarray(points, np.float64), min_points=0)[0]

    def score(self, lidar2cam: np.ndarray) -> float:
        """Return :attr:`Evidence.score` of one pose.

        Args:
            lidar2cam: (4, 4).

        Returns:
            About 0 if image and scan are unrelated or too few points are in view; 0.2 to 0.6 if
            they show the same place.
        """
        return self.evidence(lidar2cam).score

    def evidence(self, lidar2cam: np.ndarray) -> Evidence:
        """Measure whether colours change where depth and reflectance do under a pose.

        Pairs of points that project next to each other are compared. Pairs within one pixel are
        dropped, because they have one colour under any pose. A linear fit removes what contrasts,
        intensities and jumps share by position alone: points farther apart differ more, and
        streets are smooth below and rich in edges above. A network can fit a pose to an image and
        a scan of different places through such layout, and its matches then agree as well as
        correct ones; edges and surfaces do not.

        Args:
            lidar2cam: (4, 4).
        """
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        pixels, depth, mask = self._project(lidar2cam)
        pixels, depth, intensity = pixels[mask], depth[mask], self.points[mask, 3]
        if len(pixels) <= NUM_NEIGHBOURS:
            return Evidence()
        tree = spatial.cKDTree(pixels, balanced_tree=False, compact_nodes=False)
        distance, neighbour = tree.query(pixels, NUM_NEIGHBOURS + 1)
        pairs = _pairs(neighbour)
        mask = distance[:, 1:].ravel() < MAX_PAIR_DISTANCE
        mask &= in_two_pixels(pixels, pairs)
        pairs, distance = pairs[:, mask], distance[:, 1:].ravel()[mask]
        if pairs.shape[1] < MIN_PAIRS:
            return Evidence()
        column, row = np.rint(pixels).astype(int).T
        contrast = np.linalg.norm(np.subtract(*self.colours[row, column][pairs]), axis=1)
        height = pixels[pairs[0], 1] / len(self.colours)
        position = np.stack(
            (np.ones_like(height), distance / MAX_PAIR_DISTANCE, height, height**2), axis=1)
        reflectance = step = np.nan
        difference = np.abs(np.subtract(*intensity[pairs]))
        if (difference > 0).mean() >= MIN_DIFFERENT:
            reflectance = _cosine(*_residuals(position, _ranks(difference), _ranks(contrast)))
        jump = is_jump(depth, pairs)
        num_jumps = int(min(jump.sum(), (~jump).sum()))
        if num_jumps >= MIN_JUMPS:
            jump, contrast = _residuals(position, jump.astype(float), np.log1p(contrast))
            step = float(jump @ contrast / max(jump @ jump, EPSILON))
        return Evidence(reflectance, pairs.shape[1], step, num_jumps)

    def subset(self, lidar2cam: np.ndarray, margin: float, size: int) -> 'PhotometricConsistency':
        """Return the same image with the points that are in view under poses about this one.

        Args:
            lidar2cam: (4, 4).
            margin: Pixels about the image that count as in view.
            size: Maximum number of points (fixed random subset).
        """
        idx = np.flatnonzero(self._project(lidar2cam, margin)[2])
        if len(idx) > size:
            # Sorted, since neighbours are found faster one after the other.
            idx = np.sort(np.random.default_rng(0).choice(idx, size, replace=False))
        result = copy(self)
        result.points = self.points[idx]
        return result

    def _project(self, lidar2cam: np.ndarray,
                 margin: float = 0.) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pixels (N, 2), depths (N,) and in-view mask (N,) of all points."""
        pixels, depth = project_points(
            *map(torch.from_numpy, (self.points[:, :3], np.asarray(lidar2cam, np.float64),
                                    self.cam2img)))
        height, width = self.colours.shape[:2]
        mask = in_view(pixels + margin, depth, height + 2 * margin, width + 2 * margin, MIN_DEPTH)
        return pixels.numpy(), depth.numpy(), mask.numpy()


class BatchedReflectance:
    """Approximation of :attr:`Evidence.reflectance` for many poses at once.

    What depends least on the pose is computed once, at one pose: neighbours and the ranks of their
    intensity differences. Contrasts are ranked by their distribution there. That takes a tenth of
    the time. With fewer points, which are farther apart, the result is a smoother function of the
    pose: the colours of two points differ as their intensities do until the pose is off by their
    distance. Jumps of depth are left out: their neighbours move apart as the pose changes, so their
    contrast grows whether that pose is right or not.

    Args:
        consistency: Image and scan.
        lidar2cam: (4, 4), centre of the poses to be compared.
        size: Number of points compared.
        num_neighbours: Number of neighbours of each point in the image.
    """

    def __init__(self, consistency: PhotometricConsistency, lidar2cam: np.ndarray, size: int,
                 num_neighbours: int) -> None:
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        points = consistency.subset(lidar2cam, BATCH_MARGIN, size).points
        self.height, self.width = consistency.colours.shape[:2]
        self.colours = torch.from_numpy(consistency.colours.reshape(-1, 3))
        self.points = torch.from_numpy(points[:, :3]).float()
        self.cam2img = torch.from_numpy(consistency.cam2img).float()
        self.first = self.second = torch.zeros(0, dtype=torch.long)
        if len(points) <= num_neighbours:
            return
        pose = torch.from_numpy(lidar2cam).float()
        pixels = project_points(self.points, pose, self.cam2img)[0].numpy()
        distance, neighbour = spatial.cKDTree(pixels).query(pixels, num_neighbours + 1)
        self.max_distance = BATCH_MAX_DISTANCE * float(np.median(distance[:, -1]))
        pairs = _pairs(neighbour)[:, distance[:, 1:].ravel() < self.max_distance]
        pairs = np.unique(np.sort(pairs, 0), axis=1)
        pairs = pairs[:, in_two_pixels(pixels, pairs)]
        self.first, self.second = torch.from_numpy(pairs)
        self.rank = torch.from_numpy(_ranks(np.abs(np.subtract(*points[pairs, 3])))).float()
        contrast, mask = self._contrast(pose[None])
        contrast = contrast[mask > 0].sort().values
        levels = torch.arange(NUM_LEVELS).float()
        self.level_rank = torch.searchsorted(contrast, levels) / max(1, len(contrast))

    def correlation(self, lidar2cam: Tensor) -> Tensor:
        """Return the correlation (P,) of each pose, 0 if less than a quarter of pairs is in view.

        Args:
            lidar2cam: (P, 4, 4).
        """
        if not len(self.first):
            return torch.zeros(len(lidar2cam))
        chunk = max(1, POINTS_AT_ONCE // len(self.points))
        return torch.cat([self._correlation(poses) for poses in lidar2cam.float().split(chunk)])

    def _correlation(self, lidar2cam: Tensor) -> Tensor:
        contrast, mask = self._contrast(lidar2cam)
        rank = self.level_rank[contrast.round().long().clamp(max=NUM_LEVELS - 1)]
        correlation = _pearson(self.rank, rank, mask)
        enough = mask.sum(1) >= BATCH_MIN_SHARE * len(self.rank)
        return correlation.where(enough, torch.zeros_like(correlation))

    def _contrast(self, lidar2cam: Tensor) -> tuple[Tensor, Tensor]:
        """Return colour differences (P, M) of the pairs, and 1 for close pairs in view, else 0."""
        pixels, depth = project_points(self.points, lidar2cam, self.cam2img)
        visible = in_view(pixels, depth, self.height, self.width, MIN_DEPTH)
        column, row = pixels.round().unbind(-1)
        index = row.clamp(0, self.height - 1) * self.width + column.clamp(0, self.width - 1)
        colours = self.colours[index.long()]
        contrast = (colours[:, self.first] - colours[:, self.second]).norm(dim=-1)
        close = (pixels[:, self.first] - pixels[:, self.second]).norm(dim=-1) < self.max_distance
        return contrast, (visible[:, self.first] & visible[:, self.second] & close).float()


def is_jump(depth: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return a mask (M,) of the pairs (2, M) of points on different surfaces."""
    return np.abs(np.log(np.divide(*depth[pairs]))) > np.log(DEPTH_RATIO)


def in_two_pixels(pixels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return a mask (M,) of the pairs (2, M) that can differ in colour, not being in one pixel."""
    first, second = np.rint(pixels)[pairs]
    return (first != second).any(1)


def _pairs(neighbour: np.ndarray) -> np.ndarray:
    """Return pairs (2, N * K) of each point and its neighbours (N, 1 + K), itself first."""
    num_points, num_neighbours = len(neighbour), neighbour.shape[1] - 1
    return np.stack((np.repeat(np.arange(num_points), num_neighbours), neighbour[:, 1:].ravel()))


def reduce_image(image: np.ndarray, cam2img: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the image, at most ``MAX_WIDTH`` wide, and its intrinsics."""
    cv2 = optional_import('cv2', 'opencv-python-headless', 'Comparing image and scan')
    height, width = image.shape[:2]
    if width <= MAX_WIDTH:
        return image, cam2img
    size = MAX_WIDTH, max(1, round(height * MAX_WIDTH / width))
    cam2img = resize_intrinsics(torch.from_numpy(cam2img), size[0] / width, size[1] / height)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cam2img.numpy()


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks, in 0..1."""
    stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
    return stats.rankdata(values) / max(1, len(values))


def _residuals(regressors: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Return the residuals of linear fits of each (M,) by the columns of (M, K)."""
    basis = np.linalg.qr(regressors)[0]
    return [value - basis @ (basis.T @ value) for value in values]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine of the angle between two vectors, 0 if one is zero."""
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), EPSILON))


def _pearson(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted correlation (P,) of (M,) and (P, M), 0 where one is constant."""
    count = weight.sum(1, keepdim=True).clamp(min=1)
    first = weight * (first - (weight * first).sum(1, keepdim=True) / count)
    second = weight * (second - (weight * second).sum(1, keepdim=True) / count)
    norm = first.norm(dim=1) * second.norm(dim=1)
    return (first * second).sum(1) / norm.clamp(min=1e-6)
