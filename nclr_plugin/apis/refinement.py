"""Refine the pose of a rig jointly over frames, from a guess and without a network."""
from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from ..datasets.readers.calibration import check_lidar2cam
from ..errors import CalibrationInputError
from .calibrator import Calibrator
from .intrinsics import Intrinsics, check_image, make_intrinsics
from .joint_search import JointScore, search_jointly
from .results import fuse, pose_difference
from .scans import ScanChecker, check_in_front

RANGE_DEG, RANGE_M = 5., 0.5
MAX_RANGE = 30., 5.  # degrees and metres; farther away, frames do not have the same points in view
NUM_PROFILE_STEPS = 21  # poses along each axis
NUM_FOLDS = 2  # groups of frames; each verifies what is found on the other
MIN_SIGNIFICANCE = 2.  # standard errors by which unused frames must prefer the refined pose


class Pair(NamedTuple):
    """An image and a scan taken at the same time.

    Attributes:
        image: RGB, (H, W, 3) uint8.
        points: (N, 3 or 4) x, y, z, intensity; LiDAR frame, metres.
        cam2img: (3, 3), or :class:`~nclr_plugin.apis.Intrinsics`.
        name: Name of the pair, for messages and results.
    """
    image: np.ndarray
    points: np.ndarray
    cam2img: Any
    name: str = ''


class Profiles(NamedTuple):
    """Scores along the six axes of the camera through a pose, summed over frames.

    Attributes:
        offsets_deg: (S,) rotations about the x, y and z axis, degrees.
        offsets_m: (S,) translations along these axes, metres.
        scores: (6, S): rotations, then translations; 0 at the pose.
    """
    offsets_deg: np.ndarray
    offsets_m: np.ndarray
    scores: np.ndarray


class Refinement(NamedTuple):
    """Result of :func:`refine`.

    Attributes:
        lidar2cam: (4, 4) float64, the pose to use: ``refined`` or ``initial``.
        initial: (4, 4), the guess.
        refined: (4, 4), the pose of the highest score, used or not.
        kept: ``'refined'`` or ``'guess'``, whichever ``lidar2cam`` is.
        reliable: Whether the frames confirm ``lidar2cam``.
        reason: Why this pose was kept and, if it is not reliable, what is wrong; one sentence.
        covariance: (6, 6) of ``refined``, for a small rotation about the camera's axes (radians)
            and the translation (metres); infinite on the diagonal if unknown.
        significance: Standard errors by which the frames prefer poses that were refined on the
            other frames to the guess.
        names: Name of each frame.
        scores_before: (F,) score of each frame under the guess.
        scores_after: (F,) score of each frame under ``refined``.
        profiles_before: Scores about the guess.
        profiles_after: Scores about ``refined``.
    """
    lidar2cam: np.ndarray
    initial: np.ndarray
    refined: np.ndarray
    kept: str
    reliable: bool
    reason: str
    covariance: np.ndarray
    significance: float
    names: list[str]
    scores_before: np.ndarray
    scores_after: np.ndarray
    profiles_before: Profiles
    profiles_after: Profiles


def refine(pairs: Sequence[Pair],
           initial: Any,
           range_deg: float = RANGE_DEG,
           range_m: float = RANGE_M,
           calibrator: Calibrator | None = None,
           intensity_scale: float | None = None,
           progress: bool = False) -> Refinement:
    """Find the pose near a guess that fits all frames of one camera best.

    The scores of all frames are added up before a pose is chosen. Then each half of the frames
    judges the pose that the other half alone leads to. The guess is kept unless the frames that
    were not used prefer the refined poses.

    Args:
        pairs: Frames of one camera and one LiDAR that do not move relative to each other.
        initial: (4, 4) rough ``lidar2cam``.
        range_deg: Largest rotation from the guess about each axis of the camera.
        range_m: Largest translation from the guess along each axis of the camera.
        calibrator: Network whose fused pose is the start if it is reliable and within the range.
        intensity_scale: Factor that scales intensities to 0..1; see
            :class:`~nclr_plugin.apis.scans.ScanChecker`.
        progress: Whether to print each step.

    Raises:
        CalibrationInputError: If a pair, the guess or a range cannot be used.
    """
    initial = _check_initial(initial)
    ranges = check_ranges(range_deg, range_m)
    pairs = check_pairs(pairs, initial, intensity_scale)
    start = initial if calibrator is None else _network_start(pairs, initial, calibrator, ranges)
    score = JointScore(pairs, initial, ranges)
    say = print if progress else _silent
    refined = search_jointly(score, start, initial, ranges, say)
    halves = [np.arange(len(pairs)) % NUM_FOLDS == fold for fold in range(NUM_FOLDS)]
    gains = np.zeros(len(pairs))
    for unused in halves:
        if unused.any() and not unused.all():
            pose = search_jointly(score, start, initial, ranges, _silent, ~unused)
            before, after = score(np.stack((initial, pose)))
            gains[unused] = (after - before)[unused]
    significance = _significance(gains)
    better = significance >= MIN_SIGNIFICANCE
    before, after = score(np.stack((initial, refined)))
    rotation, translation = pose_difference(refined, initial)
    reason = (f'frames that were not used {"prefer" if better else "do not prefer"} a pose '
              f'{rotation:.2f} deg and {translation:.2f} m from the guess '
              f'({significance:.1f} standard errors)')
    return Refinement(
        lidar2cam=refined if better else initial, initial=initial, refined=refined,
        kept='refined' if better else 'guess', reliable=better, reason=reason,
        covariance=score.covariance(refined), significance=significance,
        names=[pair.name for pair in pairs], scores_before=before, scores_after=after,
        profiles_before=profiles(score, initial, ranges),
        profiles_after=profiles(score, refined, ranges))


def profiles(score: JointScore, lidar2cam: np.ndarray, ranges: tuple[float, float]) -> Profiles:
    """Return the scores along the six axes through a pose (4, 4)."""
    steps = np.linspace(-1, 1, NUM_PROFILE_STEPS)
    scores = np.stack([score(score.move(lidar2cam, axis * steps[:, None])).sum(1)
                       for axis in np.diag(np.repeat((np.radians(ranges[0]), ranges[1]), 3))])
    return Profiles(ranges[0] * steps, ranges[1] * steps,
                    scores - scores[:, [NUM_PROFILE_STEPS // 2]])


def check_pairs(pairs: Sequence[Pair], initial: np.ndarray,
                intensity_scale: float | None = None) -> list[Pair]:
    """Check pairs, undistort their images, and scale their intensities.

    Raises:
        CalibrationInputError: If there is no pair, or one cannot be used.
    """
    if not len(pairs):
        raise CalibrationInputError('expected pairs of an image and a scan, found none.')
    check_scan = ScanChecker(intensity_scale)
    checked = []
    for number, pair in enumerate(pairs):
        image, points, cam2img, name = Pair(*pair)
        name = name or f'pair {number}'
        intrinsics = make_intrinsics(*cam2img) if isinstance(
            cam2img, Intrinsics) else make_intrinsics(cam2img)
        check_image(image, intrinsics, name)
        points = check_scan(points, name)
        check_in_front(points, initial, intrinsics.cam2img, *image.shape[:2])
        checked.append(Pair(intrinsics.undistort(image), points, intrinsics.cam2img, name))
    return checked


def check_ranges(range_deg: float, range_m: float) -> tuple[float, float]:
    """Return the ranges.

    Raises:
        CalibrationInputError: If one is not above 0, or too large.
    """
    for name, value, largest in zip(('range_deg', 'range_m'), (range_deg, range_m), MAX_RANGE):
        if not 0 < value <= largest:
            raise CalibrationInputError(
                f'{name}: expected a number above 0 and up to {largest:g}, found {value}.')
    return float(range_deg), float(range_m)


def describe_refinement(result: Refinement) -> str:
    """Describe a result in one line."""
    return (f'{"refined pose" if result.kept == "refined" else "guess kept"}: {result.reason}'
            f'{"" if result.reliable else "; NOT RELIABLE"}')


def _check_initial(initial: Any) -> np.ndarray:
    try:
        return np.asarray(check_lidar2cam(initial, 'initial lidar2cam'), np.float64)
    except ValueError as error:
        raise CalibrationInputError(str(error)) from error


def _network_start(pairs: Sequence[Pair], initial: np.ndarray, calibrator: Calibrator,
                   ranges: tuple[float, float]) -> np.ndarray:
    """Return the fused pose of a network if it is reliable and within the range, else the guess."""
    estimate = fuse([calibrator(pair.image, pair.points, pair.cam2img, initial) for pair in pairs])
    rotation, translation = pose_difference(estimate.lidar2cam, initial)
    near = rotation <= ranges[0] and translation <= ranges[1]
    return estimate.lidar2cam if estimate.reliable and near else initial


def _significance(gains: np.ndarray) -> float:
    """Return the mean over its standard error; 0 for fewer than two frames or equal gains."""
    if len(gains) < 2 or gains.std() == 0:
        return 0.
    return float(gains.mean() / gains.std(ddof=1) * np.sqrt(len(gains)))


def _silent(*_: Any) -> None:
    """Print nothing."""
