"""Photometric consistency of an image and a scan under a pose, without a network."""
from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

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
# Weights of reflectance and step. The weights of one alone are set so that pairs of different
# places hardly ever reach 0.2; configs/crossi2p/results.md says how.
BOTH = 1., 0.3
REFLECTANCE_ALONE = 1.5
STEP_ALONE = 0.36
MIN_JUMPS_ALONE = 1000  # with fewer, the step is too often large by chance


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
        """Return the weighted sum of the available parts, about equal for right poses.

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
            reflectance = _cosine(*residuals(position, ranks(difference), ranks(contrast)))
        jump = is_jump(depth, pairs)
        num_jumps = int(min(jump.sum(), (~jump).sum()))
        if num_jumps >= MIN_JUMPS:
            jump, contrast = residuals(position, jump.astype(float), np.log1p(contrast))
            step = float(jump @ contrast / max(jump @ jump, EPSILON))
        return Evidence(reflectance, pairs.shape[1], step, num_jumps)

    def _project(self, lidar2cam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pixels (N, 2), depths (N,) and in-view mask (N,) of all points."""
        pixels, depth = project_points(
            self.points[:, :3], np.asarray(lidar2cam, np.float64), self.cam2img)
        return pixels, depth, in_view(pixels, depth, *self.colours.shape[:2], MIN_DEPTH)


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
    height, width = image.shape[:2]
    if width <= MAX_WIDTH:
        return image, cam2img
    size = MAX_WIDTH, max(1, round(height * MAX_WIDTH / width))
    return (cv2.resize(image, size, interpolation=cv2.INTER_AREA),
            resize_intrinsics(cam2img, size[0] / width, size[1] / height))


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks, in 0..1."""
    stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
    return stats.rankdata(values) / max(1, len(values))


def residuals(regressors: np.ndarray, *values: np.ndarray) -> list[np.ndarray]:
    """Return the residuals of linear fits of each (M,) by the columns of (M, K)."""
    basis = np.linalg.qr(regressors)[0]
    return [value - basis @ (basis.T @ value) for value in values]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return the cosine of the angle between two vectors, 0 if one is zero."""
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), EPSILON))

