"""Whether an image shows what a scan has scanned: evidence that no network takes part in."""
from __future__ import annotations

from copy import copy
from typing import List, NamedTuple

import numpy as np
import torch

from ..datasets.scans import drop_invalid_rows
from ..geometry.camera import in_view, project_points, resize_intrinsics
from ..utils.optional import optional_import

WIDTH = 620  # pixels to which wider images are reduced: a scan says nothing of finer detail
MIN_DEPTH = 1.  # metres
NEIGHBOURS = 4
REACH = 8.  # pixels of the reduced image
MIN_PAIRS = 1000
MIN_DIFFERENT = 0.1  # of the pairs: where fewer differ in intensity, it says nothing
JUMP = 1.15  # ratio of depths from which on two neighbours are on different surfaces
MIN_JUMPS = 100
EPSILON = 1e-12
MIN_AGREEMENT = 0.2
# Weights of reflectance and step. Those of one alone are such that hardly a pair of different
# places reaches MIN_AGREEMENT. How they were set: configs/crossi2p/README.md
BOTH = 1., 0.3
REFLECTANCE_ALONE = 1.5
STEP_ALONE = 0.36
MIN_JUMPS_ALONE = 1000  # the step of fewer is too often large by chance


class Evidence(NamedTuple):
    """What the colours of an image say of a pose.

    Attributes:
        reflectance: Rank correlation of the differences of colour and intensity of neighbouring
            points; not a number where intensities hardly differ.
        num_pairs: Number of pairs of neighbours that were compared.
        step: Difference of the logarithmic contrasts across jumps of depth and elsewhere; not a
            number where next to no depths jump.
        num_jumps: Number of pairs across jumps.
    """
    reflectance: float = np.nan
    num_pairs: int = 0
    step: float = np.nan
    num_jumps: int = 0

    @property
    def agreement(self) -> float:
        """Return the weighted sum of the parts that there are; 0.2 is the limit of all.

        0 without any, and where there is only a step, of fewer than 1000 jumps.
        """
        if np.isfinite(self.reflectance) and np.isfinite(self.step):
            return BOTH[0] * self.reflectance + BOTH[1] * self.step
        if np.isfinite(self.reflectance):
            return REFLECTANCE_ALONE * self.reflectance
        return STEP_ALONE * self.step if self.num_jumps >= MIN_JUMPS_ALONE else 0.


class Appearance:
    """An image and a scan, ready to be compared under many poses.

    Args:
        image: RGB, (H, W, 3) uint8.
        points: (N, 4), LiDAR frame, metres, intensity of any scale. Rows that are no measurement
            are left out, see :func:`~nclr_plugin.datasets.scans.drop_invalid_rows`.
        cam2img: (3, 3).

    Attributes:
        points: (M, 4), without these.
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, cam2img: np.ndarray) -> None:
        cv2 = optional_import('cv2', 'opencv-python-headless', 'Comparing image and scan')
        image, self.cam2img = _reduced(cv2, image, np.asarray(cam2img, np.float64))
        smooth = cv2.GaussianBlur(image, (3, 3), 0)
        self.colours = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
        self.points = drop_invalid_rows(np.asarray(points, np.float64), min_points=0)[0]

    def agreement(self, lidar2cam: np.ndarray) -> float:
        """Return :attr:`Evidence.agreement` of one pose.

        Args:
            lidar2cam: (4, 4).

        Returns:
            About 0 without any relation, and where too few points are in view; 0.2 to 0.6 where
            image and scan are of one place.
        """
        return self.evidence(lidar2cam).agreement

    def evidence(self, lidar2cam: np.ndarray) -> Evidence:
        """Tell how well the colours change where depth and reflectance do, if this is the pose.

        Pairs of points that project next to each other are compared. Those in one pixel are left
        out: they have one colour under any pose. So is what contrasts, intensities and jumps have
        in common by their place alone: the farther apart two points are, the more they differ, and
        all streets are smooth below and rich in edges above. A network can fit one pose to an
        image and a scan of different places, by the layout that all streets share, and its matches
        then agree as well as true ones; edges and surfaces do not.

        Args:
            lidar2cam: (4, 4).
        """
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        pixels, depth, seen = self._project(lidar2cam)
        pixels, depth, intensity = pixels[seen], depth[seen], self.points[seen, 3]
        if len(pixels) <= NEIGHBOURS:
            return Evidence()
        tree = spatial.cKDTree(pixels, balanced_tree=False, compact_nodes=False)
        distance, neighbour = tree.query(pixels, NEIGHBOURS + 1)
        pairs = np.stack((np.repeat(np.arange(len(pixels)), NEIGHBOURS), neighbour[:, 1:].ravel()))
        near = distance[:, 1:].ravel() < REACH
        near &= in_two_pixels(pixels, pairs)
        pairs, distance = pairs[:, near], distance[:, 1:].ravel()[near]
        if pairs.shape[1] < MIN_PAIRS:
            return Evidence()
        column, row = np.rint(pixels).astype(int).T
        contrast = np.linalg.norm(np.subtract(*self.colours[row, column][pairs]), axis=1)
        height = pixels[pairs[0], 1] / len(self.colours)
        place = np.stack((np.ones_like(height), distance / REACH, height, height**2), axis=1)
        reflectance = step = np.nan
        difference = np.abs(np.subtract(*intensity[pairs]))
        if (difference > 0).mean() >= MIN_DIFFERENT:
            reflectance = _cosine(*_without(place, _ranks(difference), _ranks(contrast)))
        jump = is_jump(depth, pairs)
        num_jumps = int(min(jump.sum(), (~jump).sum()))
        if num_jumps >= MIN_JUMPS:
            jump, contrast = _without(place, jump.astype(float), np.log1p(contrast))
            step = float(jump @ contrast / max(jump @ jump, EPSILON))
        return Evidence(reflectance, pairs.shape[1], step, num_jumps)

    def near(self, lidar2cam: np.ndarray, margin: float, size: int) -> 'Appearance':
        """Return the same image with the points in view under poses about this one.

        Args:
            lidar2cam: (4, 4).
            margin: Pixels about the image that are in view, too.
            size: Points at most; of more, so many at random, always the same.
        """
        seen = np.flatnonzero(self._project(lidar2cam, margin)[2])
        if len(seen) > size:
            # In order, since a scan's neighbours are found faster one after the other.
            seen = np.sort(np.random.default_rng(0).choice(seen, size, replace=False))
        part = copy(self)
        part.points = self.points[seen]
        return part

    def _project(self, lidar2cam: np.ndarray, margin: float = 0.):
        """Pixels (N, 2), depths (N,), and whether they are in view (N,), of all points."""
        pixels, depth = project_points(
            *map(torch.from_numpy, (self.points[:, :3], np.asarray(lidar2cam, np.float64),
                                    self.cam2img)))
        height, width = self.colours.shape[:2]
        seen = in_view(pixels + margin, depth, height + 2 * margin, width + 2 * margin, MIN_DEPTH)
        return pixels.numpy(), depth.numpy(), seen.numpy()


def is_jump(depth: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Tell (M,) which pairs (2, M) of points are on different surfaces."""
    return np.abs(np.log(np.divide(*depth[pairs]))) > np.log(JUMP)


def in_two_pixels(pixels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Tell (M,) which pairs (2, M) can differ in colour: points in one pixel never do."""
    first, second = np.rint(pixels)[pairs]
    return (first != second).any(1)


def appearance_agreement(image: np.ndarray, points: np.ndarray, lidar2cam: np.ndarray,
                         cam2img: np.ndarray) -> float:
    """:meth:`Appearance.agreement` of one pose."""
    return Appearance(image, points, cam2img).agreement(lidar2cam)


def _reduced(cv2, image: np.ndarray, cam2img: np.ndarray):
    """Return the image at most ``WIDTH`` wide, and its intrinsics."""
    height, width = image.shape[:2]
    if width <= WIDTH:
        return image, cam2img
    size = WIDTH, max(1, round(height * WIDTH / width))
    cam2img = resize_intrinsics(torch.from_numpy(cam2img), size[0] / width, size[1] / height)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cam2img.numpy()


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks in 0..1."""
    stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
    return stats.rankdata(values) / len(values)


def _without(place: np.ndarray, *values: np.ndarray) -> List[np.ndarray]:
    """Return what a linear fit by the columns of ``place`` (M, K) leaves of each (M,)."""
    basis = np.linalg.qr(place)[0]
    return [value - basis @ (basis.T @ value) for value in values]


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    """Return 0 where one is zero."""
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), EPSILON))
