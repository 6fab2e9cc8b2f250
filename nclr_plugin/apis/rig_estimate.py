"""One pose out of several pairs of the same rig."""
from __future__ import annotations

from typing import List, NamedTuple, Sequence

import numpy as np
import torch

from nclr_plugin.geometry.se3 import make_transform, so3_exp, so3_log

from .calibration import Calibration, pose_difference
from ..errors import CalibrationInputError

OUTLIER_SCALE = 4.  # times the median distance from the most central pose
TOLERANCE = 0.2, 0.05  # degrees and metres within which poses never are outliers
MIN_PAIRS = 3  # fewer say nothing of their spread


class RigEstimate(NamedTuple):
    """The pose of a rig, and how much single pairs differ from it.

    Attributes:
        lidar2cam: (4, 4) float64; the identity without a pose.
        reliable: Whether at least three reliable pairs agree, and more than half of the reliable
            ones do.
        rotation_spread_deg: (3,) standard deviation of the pairs' turns about the camera's x, y
            and z axes.
        translation_spread_m: (3,) standard deviation of the pairs' translations along them.
        used: Numbers of the pairs that agree; the spread is over these. The error of the
            estimate is about the spread over the square root of their number, as far as pairs err
            independently of each other.
        num_reliable: Pairs that were reliable by themselves.
        num_pairs: All pairs.
    """
    lidar2cam: np.ndarray
    reliable: bool
    rotation_spread_deg: np.ndarray
    translation_spread_m: np.ndarray
    used: List[int]
    num_reliable: int
    num_pairs: int


def fuse(calibrations: Sequence[Calibration]) -> RigEstimate:
    """Fuse calibrations of one LiDAR and one camera: the mean of those that agree.

    Of the reliable ones, the most central is the one with the least median distance from the
    others, in rotation and translation each as a multiple of its median over all pairs of
    poses; what is farther from it than four times that median is left out.

    Args:
        calibrations: Results of several pairs, all of the same camera.

    Raises:
        CalibrationInputError: If there is none.
    """
    if not calibrations:
        raise CalibrationInputError('expected calibrations to fuse, found none.')
    reliable = [place for place, found in enumerate(calibrations) if found.reliable]
    unknown = np.full(3, np.nan)
    if not reliable:
        return RigEstimate(np.eye(4), False, unknown, unknown, [], 0, len(calibrations))
    poses = [calibrations[place].lidar2cam for place in reliable]
    agree = _agreeing(poses)
    used = [reliable[place] for place in agree]
    mean, turns, shifts = _mean([poses[place] for place in agree])
    spread = len(used) > 1
    return RigEstimate(
        mean, len(used) >= MIN_PAIRS and 2 * len(used) > len(reliable),
        np.degrees(turns.std(0, ddof=1)) if spread else unknown,
        shifts.std(0, ddof=1) if spread else unknown, used, len(reliable), len(calibrations))


def _agreeing(poses: List[np.ndarray]) -> List[int]:
    distances = np.array([[pose_difference(a, b) for b in poses] for a in poses])  # (K, K, 2)
    others = ~np.eye(len(poses), dtype=bool)
    scale = np.array(TOLERANCE)
    if others.any():
        scale = np.maximum(scale, np.median(distances[others], axis=0))
    relative = (distances / scale).max(-1)
    centre = np.median(relative, axis=1).argmin()
    return np.flatnonzero(relative[centre] <= OUTLIER_SCALE).tolist()


def _mean(poses: List[np.ndarray]):
    """Return the mean pose (4, 4), and the rotations (K, 3) and shifts (K, 3) from it to each."""
    stacked = torch.from_numpy(np.stack(poses))
    R = stacked[0, :3, :3]
    for _ in range(10):  # the poses lie close together: a few steps are plenty
        R = so3_exp(so3_log(stacked[:, :3, :3] @ R.T).mean(0)) @ R
    t = stacked[:, :3, 3].mean(0)
    return (make_transform(R, t).numpy(), so3_log(stacked[:, :3, :3] @ R.T).numpy(),
            (stacked[:, :3, 3] - t).numpy())
