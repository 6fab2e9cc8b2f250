"""Whether an image shows what a scan has scanned: evidence that no network takes part in."""
from __future__ import annotations

from copy import copy

import numpy as np
import torch

from nclr_plugin.geometry.camera import in_view, project_points, resize_intrinsics

from ..utils.optional import optional_import

WIDTH = 620  # pixels to which wider images are reduced: a scan says nothing of finer detail
MIN_DEPTH = 1.  # metres
NEIGHBOURS = 4
REACH = 8.  # pixels of the reduced image
MIN_PAIRS = 200
JUMP = 1.15  # ratio of depths from which on two neighbours are on different surfaces
MIN_JUMPS = 20
STEP_WEIGHT = 0.3


class Appearance:
    """An image and a scan, ready to be compared under many poses.

    Args:
        image: RGB, (H, W, 3) uint8.
        points: (N, 4), LiDAR frame, metres, intensity of any scale.
        cam2img: (3, 3).
    """

    def __init__(self, image: np.ndarray, points: np.ndarray, cam2img: np.ndarray) -> None:
        cv2 = optional_import('cv2', 'opencv-python-headless', 'Comparing image and scan')
        image, self.cam2img = _reduced(cv2, image, np.asarray(cam2img, np.float64))
        smooth = cv2.GaussianBlur(image, (3, 3), 0)
        self.colours = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
        self.points = points.astype(np.float64)

    def agreement(self, lidar2cam: np.ndarray) -> float:
        """How well the colours change where depth and reflectance do, if this is the pose.

        Of pairs of points that project next to each other: the rank correlation of the difference
        of their colours with that of their intensities, plus 0.3 times how much larger, in the
        logarithm, that difference is across jumps of depth than elsewhere. A network can fit one
        pose to an image and a scan of different places, by the layout that all streets share, and
        its matches then agree as well as true ones; edges and surfaces do not.

        Args:
            lidar2cam: (4, 4).

        Returns:
            About 0 without any relation, and where too few points are in view; 0.2 to 0.6 where
            image and scan are of one place.
        """
        spatial = optional_import('scipy.spatial', 'scipy', 'Comparing image and scan')
        pixels, depth, intensity = self._in_view(lidar2cam)
        if len(pixels) <= NEIGHBOURS:
            return 0.
        column, row = np.rint(pixels).astype(int).T
        colours = self.colours[row, column]
        tree = spatial.cKDTree(pixels, balanced_tree=False, compact_nodes=False)
        distance, neighbour = tree.query(pixels, NEIGHBOURS + 1)
        first = np.repeat(np.arange(len(pixels)), NEIGHBOURS)
        second = neighbour[:, 1:].ravel()
        near = distance[:, 1:].ravel() < REACH
        first, second = first[near], second[near]
        if len(first) < MIN_PAIRS:
            return 0.
        contrast = np.linalg.norm(colours[first] - colours[second], axis=1)
        agreement = _rank_correlation(np.abs(intensity[first] - intensity[second]), contrast)
        jump = np.abs(np.log(depth[first] / depth[second])) > np.log(JUMP)
        if min(jump.sum(), (~jump).sum()) >= MIN_JUMPS:
            step = np.log1p(contrast[jump]).mean() - np.log1p(contrast[~jump]).mean()
            agreement += STEP_WEIGHT * float(step)
        return agreement

    def near(self, lidar2cam: np.ndarray, margin: float, size: int) -> 'Appearance':
        """The same image, with the points in view under poses about this one.

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

    def _in_view(self, lidar2cam: np.ndarray):
        """Pixels (M, 2), depths (M,) and intensities (M,) of the points in view."""
        pixels, depth, seen = self._project(lidar2cam)
        return pixels[seen], depth[seen], self.points[seen, 3]


def appearance_agreement(image: np.ndarray, points: np.ndarray, lidar2cam: np.ndarray,
                         cam2img: np.ndarray) -> float:
    """:meth:`Appearance.agreement` of one pose."""
    return Appearance(image, points, cam2img).agreement(lidar2cam)


def _reduced(cv2, image: np.ndarray, cam2img: np.ndarray):
    """The image at most ``WIDTH`` wide, and its intrinsics."""
    height, width = image.shape[:2]
    if width <= WIDTH:
        return image, cam2img
    size = WIDTH, max(1, round(height * WIDTH / width))
    cam2img = resize_intrinsics(torch.from_numpy(cam2img), size[0] / width, size[1] / height)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), cam2img.numpy()


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; 0 where one is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.
    stats = optional_import('scipy.stats', 'scipy', 'Comparing image and scan')
    return float(np.corrcoef(stats.rankdata(first), stats.rankdata(second))[0, 1])
