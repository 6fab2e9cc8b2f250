"""Check whether the calibration of a camera is off, from frames of the rig."""
from __future__ import annotations

from typing import Any, NamedTuple, Sequence

import numpy as np

from .joint_search import Pair
from .refinement import Refinement, refine
from .results import pose_difference

CHECK_DEG, CHECK_M = 3., 0.4  # largest offset that is looked for, along and about each axis
MAX_P_VALUE = 0.01  # above it, a pose may be better by chance
GOOD, OFF, UNKNOWN = 'good', 'off', 'unknown'


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
