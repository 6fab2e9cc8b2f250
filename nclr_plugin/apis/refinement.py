"""Refine or check the pose of a rig jointly over frames, from a guess and without a network."""
from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from ..datasets.readers.calibration import check_lidar2cam
from ..errors import CalibrationInputError
from ..geometry.se3 import so3_log
from .calibrator import Calibrator
from .joint_search import JointScore, Pair, check_pairs, resampled_covariance, search_jointly
from .results import Calibration, fuse, pose_difference
from .verification import (Verification, at_limit, count_places, find_misplaced, find_shift,
                           verify)

RANGE_DEG, RANGE_M = 5., 0.5
CHECK_DEG, CHECK_M = 3., 0.4  # largest offset that a check looks for, along and about each axis
MAX_RANGE = 30., 5.  # degrees and metres; farther away, frames do not have the same points in view
NUM_PROFILE_STEPS = 21  # poses along each axis
MIN_PREFERENCE = 3.  # standard errors by which held-out frames must prefer the refined pose
MIN_EVIDENCE = 5.  # standard errors by which they must prefer it to poses far away
MIN_SHIFT_GAIN = 3.  # standard errors by which scans of other frames fit better
# Deviation of the best poses of many real frames from careful calibrations, about and along each
# axis: rims of objects are round, and a moving LiDAR bends its scans. More frames do not reduce it.
SYSTEMATIC = np.repeat((np.radians(0.12), 0.04), 3)
SAME_POSE = 12.6  # squared distance in deviations; 95% of equal poses are nearer (6 dimensions)
MAX_SPREAD = 1., 0.3  # deviations, degrees and metres, with which frames fix a pose
MAX_CONFIRMED = 0.5, 0.2  # largest distance of a confirmed guess, degrees and metres
MIN_PLACES = 4  # different places that are needed to confirm a pose
MAX_DIFFERENCE = 1., 0.3  # between the poses of two halves of the frames, degrees and metres
MAX_P_VALUE = 0.01  # above it, a pose may be better by chance
GOOD, OFF, UNKNOWN = 'good', 'off', 'unknown'


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
        preference: Standard errors by which held-out frames prefer the refined poses to the guess.
        evidence: Standard errors by which they prefer these poses to others up to 4 deg and 0.5 m
            away; below 5, image and scan hardly agree anywhere.
        p_value: Probability of so high a preference if the guess were as good.
        same: Whether ``refined`` and ``initial`` differ by no more than the errors of the method.
        comparable: Whether images and scans fit each other, i.e. show the same places at the same
            time.
        difference: Degrees and metres between the poses that either half of the frames leads to.
        num_places: Number of frames with different images, for the camera with the most of them.
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
    preference: float
    evidence: float
    p_value: float
    same: bool
    comparable: bool
    difference: tuple[float, float]
    num_places: int
    names: list[str]
    scores_before: np.ndarray
    scores_after: np.ndarray
    profiles_before: Profiles
    profiles_after: Profiles

    def describe(self) -> str:
        """Describe the pose in one line."""
        return (f'{"refined pose" if self.kept == "refined" else "guess kept"}: {self.reason}'
                f'{"" if self.reliable else "; NOT RELIABLE"}')


class CalibrationCheck(NamedTuple):
    """Result of :func:`check`.

    Attributes:
        verdict: ``'good'``, ``'off'``, or ``'unknown'`` if the frames do not decide.
        p_value: Probability of so strong a preference of held-out frames for other poses if the
            calibration were the best pose; small if the calibration is off.
        statement: The verdict in a sentence, with the measured offset.
        refinement: Refinement of the calibration.
    """
    verdict: str
    p_value: float
    statement: str
    refinement: Refinement

    @property
    def exit_status(self) -> int:
        """0 for a good calibration, else 1."""
        return int(self.verdict != GOOD)


def refine(pairs: Sequence[Pair],
           initial: Any,
           range_deg: float = RANGE_DEG,
           range_m: float = RANGE_M,
           calibrator: Calibrator | None = None,
           intensity_scale: float | None = None,
           progress: bool = False) -> Refinement:
    """Find the pose near a guess that fits all frames of one camera, or of a rigid rig, best.

    The scores of all frames (:class:`~nclr_plugin.evaluation.edge_alignment.EdgeAlignment`) are
    added up before a pose is chosen. Then the pose that is refined on each half of the frames is
    scored on the other half. The guess is kept if the held-out frames do not prefer these poses, or
    if it is within the errors of the refined one.

    Args:
        pairs: Frames of one camera and one LiDAR that do not move relative to each other, in the
            order of time; or of several cameras, each with its ``ref2cam``.
        initial: (4, 4) rough ``lidar2cam``, of the reference camera.
        range_deg: Largest rotation from the guess about each axis of the camera.
        range_m: Largest translation from the guess along each axis of the camera.
        calibrator: Network whose fused pose is the start if it is reliable and within the range.
        intensity_scale: Factor that scales intensities to 0..1; see
            :class:`~nclr_plugin.apis.scans.ScanChecker`.
        progress: Whether to print each step.

    Raises:
        CalibrationInputError: If a pair, the guess or a range cannot be used.
    """
    initial = check_initial(initial)
    ranges = range_deg, range_m
    for name, value, largest in zip(('range_deg', 'range_m'), ranges, MAX_RANGE):
        if not 0 < value <= largest:
            raise CalibrationInputError(
                f'{name}: expected a number above 0 and up to {largest:g}, found {value}.')
    pairs = check_pairs(pairs, initial, intensity_scale)
    start = initial if calibrator is None else _network_start(pairs, initial, calibrator, ranges)
    score = JointScore(pairs, initial, ranges)
    begin = _offset(initial, start).clip(-score.scale, score.scale)
    offset = search_jointly(score, begin, verbose=progress)
    covariance = resampled_covariance(score, offset)
    verification = verify(score, begin)
    same = _same(offset, covariance, verification)
    difference = pose_difference(*map(score.pose, verification.spread))
    # Cameras of one moment share a scan, so they do not count as different places.
    num_places = max(count_places([frame.image for frame, camera in zip(
        score.frames, score.camera) if camera == number]) for number in np.unique(score.camera))
    fault = _find_fault(score, offset, verification)
    reason = fault or _find_doubt(score, offset, verification, covariance, difference, num_places)
    kept, reliable, reason = ('guess', False, reason) if reason else _choose(
        score, offset, verification, same)
    refined = score.pose(offset)
    fine = score.about(offset)
    before, after = score.by_frame(fine(np.stack((np.zeros(6), offset))))
    return Refinement(
        lidar2cam=refined if kept == 'refined' else initial, initial=initial, refined=refined,
        kept=kept, reliable=reliable, reason=reason, covariance=covariance,
        preference=verification.preference, evidence=verification.evidence,
        p_value=verification.p_value, same=same, comparable=not fault,
        difference=difference, num_places=num_places, names=[pair.name for pair in pairs],
        scores_before=before, scores_after=after,
        profiles_before=_profiles(score, np.zeros(6), ranges),
        profiles_after=_profiles(score, offset, ranges))


def check(pairs: Sequence[Pair], lidar2cam: Any, range_deg: float = CHECK_DEG,
          range_m: float = CHECK_M, intensity_scale: float | None = None) -> CalibrationCheck:
    """Check a calibration: is there a better pose near it?

    A pose is refined on each half of the frames and compared with the calibration on the other
    half. If the calibration is right, these poses are no better.

    Args:
        pairs: Frames of one camera and one LiDAR.
        lidar2cam: (4, 4), the calibration.
        range_deg, range_m: Largest offsets about and along the camera's axes that are found.
        intensity_scale: Factor that scales intensities to 0..1.

    Raises:
        CalibrationInputError: If a pair, the pose or a range cannot be used.
    """
    result = refine(pairs, lidar2cam, range_deg, range_m, intensity_scale=intensity_scale)
    rotation, translation = pose_difference(result.refined, result.initial)
    deviation = np.sqrt(np.diag(result.covariance))
    accuracy = (f'the frames fix the pose to {np.degrees(np.linalg.norm(deviation[:3])):.2f} deg '
                f'and {np.linalg.norm(deviation[3:]):.2f} m')
    if result.same and result.reliable:
        return CalibrationCheck(GOOD, result.p_value, (
            f'the calibration is good: the best pose is {rotation:.2f} deg and {translation:.2f} m '
            f'from it, within the errors of the method (p = {result.p_value:.2g}); {accuracy}'),
            result)
    if result.p_value < MAX_P_VALUE and result.comparable and not result.same:
        text = f'the calibration is OFF (p = {result.p_value:.2g})'
        return CalibrationCheck(OFF, result.p_value, (
            f'{text}, by about {rotation:.2f} deg and {translation:.2f} m; {accuracy}'
            if result.reliable else f'{text}; by how much is not known: {result.reason}'), result)
    return CalibrationCheck(UNKNOWN, result.p_value, (
        f'unknown whether the calibration is off (p = {result.p_value:.2g}): {result.reason}'),
        result)


def _same(offset: np.ndarray, covariance: np.ndarray, verification: Verification) -> bool:
    """Return whether an offset is within the errors of the method, or those of few frames."""
    distance = offset @ np.linalg.solve(covariance + np.diag(SYSTEMATIC**2), offset)
    size = np.degrees(np.linalg.norm(offset[:3])), np.linalg.norm(offset[3:])
    return bool((offset**2 / SYSTEMATIC**2).sum() < SAME_POSE or (
        distance < SAME_POSE and verification.preference < MIN_PREFERENCE
        and size[0] < MAX_CONFIRMED[0] and size[1] < MAX_CONFIRMED[1]))


def _find_fault(score: JointScore, offset: np.ndarray, verification: Verification) -> str:
    """Explain in a sentence why images and scans cannot be compared; empty if they can."""
    shift, gain = find_shift(score, np.stack((offset, np.zeros(6))))
    if gain >= MIN_SHIFT_GAIN:
        return (f'scans {abs(shift)} frame{"s" if abs(shift) > 1 else ""} '
                f'{"later" if shift > 0 else "earlier"} fit the images better (by {gain:.1f} '
                'standard errors): the sensors are out of sync')
    if verification.evidence < MIN_EVIDENCE:
        return ('images and scans do not agree better under one pose than under poses far from it '
                f'(by {verification.evidence:.1f} standard errors, {MIN_EVIDENCE:g} are needed): '
                'they are of different places or times, have too little in common, or are too few')
    misplaced = find_misplaced(score, offset)
    if misplaced is not None:
        return (f'the camera of {score.names[misplaced]} does not agree with the pose that fits '
                'all cameras best: their relative poses are wrong, or it shows too little')
    return ''


def _find_doubt(score: JointScore, offset: np.ndarray, verification: Verification,
                covariance: np.ndarray, difference: tuple[float, float], num_places: int) -> str:
    """Explain in a sentence why the frames do not confirm a pose; empty if they do."""
    if at_limit(score, np.vstack((offset, verification.spread))):
        return (f'{_from_guess(score, offset)}, or that of half of the frames is at the limit of '
                'the range: the guess is farther off than the range, or the sensors are out of '
                'sync while moving')
    if num_places < MIN_PLACES:
        return f'at least {MIN_PLACES} different places are needed, the frames show {num_places}'
    if difference[0] > MAX_DIFFERENCE[0] or difference[1] > MAX_DIFFERENCE[1]:
        return (f'the two halves of the frames lead to poses {difference[0]:.2f} deg and '
                f'{difference[1]:.2f} m apart: more places are needed')
    deviation = np.sqrt(np.diag(covariance))
    spread = np.degrees(np.linalg.norm(deviation[:3])), np.linalg.norm(deviation[3:])
    if spread[0] > MAX_SPREAD[0] or spread[1] > MAX_SPREAD[1]:
        return (f'the frames fix the pose only to {spread[0]:.2f} deg and {spread[1]:.2f} m: more '
                'places are needed')
    return ''


def _choose(score: JointScore, offset: np.ndarray, verification: Verification,
            same: bool) -> tuple[str, bool, str]:
    """Return which pose is kept, whether it is reliable, and why, in a sentence."""
    refined = _from_guess(score, offset)
    if same:
        return 'guess', True, f'confirmed: {refined}, is the same within the errors of the method'
    text = f'(by {verification.preference:.1f} standard errors)'
    if verification.preference < MIN_PREFERENCE:
        return 'guess', False, f'frames that were not used do not prefer {refined} {text}'
    return 'refined', True, f'frames that were not used prefer {refined} {text}'


def _from_guess(score: JointScore, offset: np.ndarray) -> str:
    rotation, translation = pose_difference(score.pose(offset), score.lidar2cam)
    return f'the refined pose, {rotation:.2f} deg and {translation:.2f} m from the guess'


def _offset(initial: np.ndarray, lidar2cam: np.ndarray) -> np.ndarray:
    """Return the offset (6,) from one pose to another; see :func:`.joint_search.move`."""
    rotation = so3_log(lidar2cam[:3, :3] @ initial[:3, :3].T)
    return np.concatenate((rotation, (lidar2cam - initial)[:3, 3]))


def _profiles(score: JointScore, offset: np.ndarray, ranges: tuple[float, float]) -> Profiles:
    """Return the scores along the six axes through the pose at an offset (6,)."""
    steps = np.linspace(-1, 1, NUM_PROFILE_STEPS)
    offsets = offset + steps[:, None] * np.diag(score.scale)[:, None]  # (6, S, 6)
    scores = score.about(offset)(offsets.reshape(-1, 6)).sum(1).reshape(6, -1)
    return Profiles(ranges[0] * steps, ranges[1] * steps,
                    scores - scores[:, [NUM_PROFILE_STEPS // 2]])


def check_initial(initial: Any) -> np.ndarray:
    """Return a pose (4, 4) as float64.

    Raises:
        CalibrationInputError: If it is not a rigid transform.
    """
    try:
        return np.asarray(check_lidar2cam(initial, 'initial lidar2cam'), np.float64)
    except ValueError as error:
        raise CalibrationInputError(str(error)) from error


def _network_start(pairs: Sequence[Pair], initial: np.ndarray, calibrator: Calibrator,
                   ranges: tuple[float, float]) -> np.ndarray:
    """Return the fused pose of a network if it is reliable and within the range, else the guess."""
    estimate = fuse([_calibrate(pair, initial, calibrator) for pair in pairs])
    rotation, translation = pose_difference(estimate.lidar2cam, initial)
    near = rotation <= ranges[0] and translation <= ranges[1]
    return estimate.lidar2cam if estimate.reliable and near else initial


def _calibrate(pair: Pair, initial: np.ndarray, calibrator: Calibrator) -> Calibration:
    """Calibrate one pair, and return the pose of the reference camera."""
    result = calibrator(pair.image, pair.points, pair.cam2img, pair.ref2cam @ initial)
    return result._replace(lidar2cam=np.linalg.solve(pair.ref2cam, result.lidar2cam))
