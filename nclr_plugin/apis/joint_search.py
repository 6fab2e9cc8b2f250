"""Frames of one rig, their scores of poses, and the maximum of these."""
from __future__ import annotations

from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
import torch

from ..errors import CalibrationInputError
from ..evaluation.edge_alignment import EdgeAlignment
from ..geometry.se3 import make_transform, so3_exp
from .intrinsics import Intrinsics, check_image, make_intrinsics
from .scans import ScanChecker, check_in_front

MIN_PARTS = 8  # with fewer frames, parts of each image are scored separately
# Per level: blur of the images in pixels, pairs of each kind in a frame, rounds, poses of a round,
# and poses that survive it. Far from the maximum many poses are nearly as good as those near it.
LEVELS = ((3., 150, 1, 3000, 100), (3., 150, 1, 1000, 80), (1.5, 250, 3, 400, 40),
          (0.7, 400, 2, 200, 15))
LAST = 0.7, 700, 8, 100, 20  # the same for the rounds in which the survivors are averaged
LINE = np.linspace(-2, 2, 41)  # shares of the range by which a pose is then moved along each axis
MAX_LINE_SEARCHES = 3
FINE = 0.7, 1500  # blur and pairs of the scores that are compared
FULL_EFFORT, MAX_EFFORT = 20, 3.  # frames; with fewer, up to 3 times as many pairs and poses
STEP, LAST_STEP, TYPICAL_DEPTH = 1., 0.3, 12.  # deviation of new poses: blurs, and metres
PENALTY = 0.5  # of a pose at the limit of the range, along one axis
# Deviation, pixels, and number of the poses that are fitted; with few frames, up to 3 times as many
FIT_PX, FIT_POSES = 0.75, 400
MAX_DEVIATION = 8.  # of a covariance, in deviations of these poses


class Pair(NamedTuple):
    """An image and a scan taken at the same time.

    Attributes:
        image: RGB, (H, W, 3) uint8.
        points: (N, 3 or 4) x, y, z, intensity; LiDAR frame, metres.
        cam2img: (3, 3), or :class:`~nclr_plugin.apis.Intrinsics`.
        name: Name of the pair, for messages and results.
        ref2cam: (4, 4), pose of the reference camera, whose ``lidar2cam`` is refined, relative to
            this one: for pairs of several cameras that do not move against each other.
    """
    image: np.ndarray
    points: np.ndarray
    cam2img: Any
    name: str = ''
    ref2cam: np.ndarray = np.eye(4)


def check_pairs(pairs: Sequence[Pair], initial: np.ndarray,
                intensity_scale: float | None = None) -> list[Pair]:
    """Check pairs, undistort their images, and scale their intensities.

    Raises:
        CalibrationInputError: If there is no pair, or one cannot be used.
    """
    if not len(pairs):
        raise CalibrationInputError('expected pairs of an image and a scan, found none.')
    check_scan = ScanChecker(intensity_scale)
    return [check_pair(Pair(*pair)._replace(name=pair[3] if len(pair) > 3 and pair[3]
                                            else f'pair {number}'), initial, check_scan)
            for number, pair in enumerate(pairs)]


def check_pair(pair: Pair, initial: np.ndarray, check_scan: ScanChecker) -> Pair:
    """Check one pair, undistort its image, and scale its intensities.

    Raises:
        CalibrationInputError: If it cannot be used.
    """
    image, points, cam2img, name, ref2cam = pair
    intrinsics = make_intrinsics(*cam2img) if isinstance(
        cam2img, Intrinsics) else make_intrinsics(cam2img)
    check_image(image, intrinsics, name)
    points = check_scan(points, name)
    check_in_front(points, ref2cam @ initial, intrinsics.cam2img, *image.shape[:2])
    rectified = Intrinsics(intrinsics.cam2img, image_size=image.shape[1::-1])
    return pair._replace(image=intrinsics.undistort(image), points=points, cam2img=rectified)


class JointScore:
    """Scores of poses, by frame.

    Args:
        pairs: Checked pairs (undistorted images, intensities of 0..1) of one camera, or of several
            that do not move against each other.
        lidar2cam: (4, 4), the guess, of the reference camera.
        ranges: Degrees and metres that poses differ from it.

    Attributes:
        scale: (6,), the range of each offset, radians and metres.
        names: Name of each frame.
        camera: (F,) number of the camera of each frame.
        focal: Focal length of the reduced images, pixels.
        num_parts: Number of parts of each frame that are scored separately.
        frame: (U,) frame of each unit: frames, or their parts if there are few.
    """

    def __init__(self, pairs: Sequence[Pair], lidar2cam: np.ndarray,
                 ranges: tuple[float, float]) -> None:
        self.lidar2cam = lidar2cam
        self.scale = np.repeat((np.radians(ranges[0]), ranges[1]), 3)
        self.ref2cam = [np.asarray(pair.ref2cam, np.float64) for pair in pairs]
        self.names = [pair.name for pair in pairs]
        # Frames of one camera have the same pose relative to the reference camera.
        self.camera = np.unique(np.stack(self.ref2cam).reshape(-1, 16), axis=0,
                                return_inverse=True)[1].reshape(-1)
        self.frames = [EdgeAlignment(pair.image, pair.points, pair.cam2img.cam2img,
                                     ref2cam @ lidar2cam, ranges[0])
                       for pair, ref2cam in zip(pairs, self.ref2cam)]
        self.focal = self.frames[0].cam2img[0, 0]
        self.num_parts = -(-MIN_PARTS // len(pairs))
        self.frame = np.repeat(np.arange(len(pairs)), self.num_parts)

    def pose(self, offset: np.ndarray) -> np.ndarray:
        """Return the pose (4, 4) at an offset (6,) from the guess."""
        return move(self.lidar2cam, offset[None])[0]

    def about(self, offset: np.ndarray, sigma: float = FINE[0], size: int = FINE[1],
              used: np.ndarray | None = None) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function that scores offsets near one.

        Args:
            offset: (6,) from the guess.
            sigma: Blur of the images, pixels.
            size: Number of pairs of points of each kind in a frame.
            used: (U,) bool, units that are scored; ``None``: all.

        Returns:
            Function from offsets (P, 6) to scores (P, U), only of the units used.
        """
        used = np.ones(len(self.frame), bool) if used is None else used
        lidar2cam = self.pose(offset)
        frames = np.unique(self.frame[used])
        scorers = [self.frames[idx].about(self.ref2cam[idx] @ lidar2cam, sigma, size,
                                          self.num_parts) for idx in frames]
        mask = used[np.isin(self.frame, self.frame[used])]

        def score(offsets: np.ndarray) -> np.ndarray:
            poses = move(self.lidar2cam, offsets)
            return torch.cat([scorer(torch.from_numpy(self.ref2cam[idx] @ poses))
                              for idx, scorer in zip(frames, scorers)], 1).double().numpy()[:, mask]

        return score

    def shifted(self, shift: int) -> np.ndarray:
        """Return the frames (2, K) of images, and of scans some frames later, of the same cameras.

        Args:
            shift: Number of frames; below 0 for earlier scans.
        """
        frames: list[tuple[int, int]] = []
        for number in np.unique(self.camera):
            idx = np.flatnonzero(self.camera == number)
            frames += zip(idx[max(0, -shift):], idx[max(0, shift):])
        return np.array(frames, int).reshape(-1, 2).T

    def by_frame(self, values: np.ndarray) -> np.ndarray:
        """Sum values (..., U) of units to those of frames (..., F)."""
        return values.reshape(*values.shape[:-1], -1, self.num_parts).sum(-1)


def move(lidar2cam: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return poses (P, 4, 4) rotated about and moved along the camera's axes.

    Args:
        lidar2cam: (4, 4).
        offsets: (P, 6), rotation vectors, radians, and translations, metres.
    """
    rotation, translation = torch.from_numpy(np.asarray(offsets, np.float64)).split(3, 1)
    R = so3_exp(rotation) @ torch.from_numpy(lidar2cam[:3, :3].copy())
    return make_transform(R, torch.from_numpy(lidar2cam[:3, 3].copy()) + translation).numpy()


def search_jointly(score: JointScore, start: np.ndarray, used: np.ndarray | None = None,
                   verbose: bool = False) -> np.ndarray:
    """Find the offset (6,) of the highest sum of scores, within the ranges.

    Poses are drawn within the whole range, and the best of them are varied, round after round and
    from blurred images to sharp ones. At last a normal distribution is fitted to the best ones and
    drawn from (cross-entropy method), again if a pose farther away along one axis is better.

    Args:
        score: Scores of the frames.
        start: (6,), centre of the first offsets.
        used: (U,) bool, units that count; ``None``: all.
        verbose: Whether to print a line for each level.
    """
    rng = np.random.default_rng(0)
    best, deviation = start[None], score.scale / 2
    effort = _effort(score)
    for sigma, size, rounds, num_poses, survivors in LEVELS:
        level = score.about(best[0], sigma, round(effort * size), used)
        for _ in range(rounds):
            parents = best[rng.integers(len(best), size=round(effort * num_poses))]
            offsets = parents + deviation * rng.standard_normal(parents.shape)
            best, values = _best(score, level, np.concatenate((best, offsets)),
                                 round(effort * survivors))
            deviation = STEP * sigma / score.focal * np.repeat((1., TYPICAL_DEPTH), 3)
        if verbose:
            print(f'images blurred by {sigma:g} px: score {values[0]:.1f}')
    offset, level = _converge(score, best, used, rng)
    for _ in range(MAX_LINE_SEARCHES):
        # Few of the poses that are drawn are off along one axis alone, and far edges hardly fix the
        # distance.
        lines = offset + (LINE[:, None] * np.diag(score.scale)[:, None]).reshape(-1, 6)
        offsets, values = _best(score, level, np.concatenate((offset[None], lines)), 1)
        if (offsets[0] == offset).all():
            break
        offset, level = _converge(score, offsets, used, rng)
    if verbose:
        print(f'images blurred by {LAST[0]:g} px: score {level(offset[None]).sum():.1f}')
    return offset


def _converge(score: JointScore, best: np.ndarray, used: np.ndarray | None,
              rng: np.random.Generator) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Return the highest offset (6,) near the best ones (N, 6), and the function that scored it."""
    sigma, size, rounds, num_poses, survivors = LAST
    level = score.about(best[0], sigma, round(_effort(score) * size), used)
    deviation = STEP * sigma / score.focal * np.repeat((1., TYPICAL_DEPTH), 3)
    mean, covariance = best[0], np.diag(deviation**2)
    for _ in range(rounds):
        offsets = rng.multivariate_normal(mean, covariance, num_poses)
        best, _ = _best(score, level, np.concatenate((best, offsets)), survivors)
        mean = best.mean(0)
        covariance = np.cov(best.T, ddof=0) + np.diag((deviation * LAST_STEP / STEP)**2)
    return mean, level


def _effort(score: JointScore) -> float:
    return min(MAX_EFFORT, max(1., np.sqrt(FULL_EFFORT / len(score.frames))))


def _best(score: JointScore, level: Callable[[np.ndarray], np.ndarray], offsets: np.ndarray,
          number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the best offsets (number, 6) of (P, 6) within the range, and their scores."""
    offsets = offsets.clip(-score.scale, score.scale)
    values = level(offsets).sum(1) - PENALTY * np.square(offsets / score.scale).sum(1)
    order = np.argsort(-values)[:number]
    return offsets[order], values[order]


def resampled_covariance(score: JointScore, offset: np.ndarray) -> np.ndarray:
    """Return the covariance (6, 6) of the best offset when frames are resampled, to first order.

    That is the covariance of the frames' gradients between two inverses of the curvature of their
    sum, both from a quadratic function fitted to the scores about the offset, plus the scatter of
    the search. Flat directions get the deviation of the whole fit at least.

    Args:
        score: Scores of the frames.
        offset: (6,) of the highest sum.
    """
    rng = np.random.default_rng(1)
    step = FIT_PX / score.focal * np.repeat((1., TYPICAL_DEPTH), 3)
    samples = rng.standard_normal((round(_effort(score) * FIT_POSES / 2), 6))
    samples = np.concatenate((samples, -samples))
    values = score.about(offset)(offset + samples * step)
    rows, columns = np.triu_indices(6)
    terms = np.concatenate((np.ones((len(samples), 1)), samples,
                            samples[:, rows] * samples[:, columns]), 1)
    coefficients = np.linalg.lstsq(terms, values, rcond=None)[0]
    curvature = np.zeros((6, 6))
    curvature[rows, columns] = coefficients[7:].sum(1)
    eigenvalues, axes = np.linalg.eigh(-curvature - curvature.T)
    gradients = coefficients[1:7].T
    spread = axes.T @ np.cov(gradients.T) @ axes * len(gradients)
    inverse = 1 / eigenvalues.clip(min=1e-9)
    deviation = inverse * np.sqrt(np.diag(spread))
    # Where the fit is not curved downwards, frames do not fix the pose to better than its width.
    inverse *= np.minimum(1, MAX_DEVIATION / deviation.clip(min=1e-9))
    covariance = axes @ (spread * inverse * inverse[:, None]) @ axes.T
    covariance += np.eye(6) * (LAST_STEP * FINE[0] / FIT_PX)**2
    return covariance * np.outer(step, step)
