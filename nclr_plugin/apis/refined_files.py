"""Refine and check the poses of cameras from files, and report the results."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Sequence

import numpy as np

from ..visualization.canvas import write_png
from ..visualization.refinement_sheet import Frame, best_median_worst, draw_refinement
from .calibrator import Calibrator
from .inputs import FilePairs
from .intrinsics import Intrinsics
from .refinement import Pair, Refinement, describe_refinement, refine


SHEET = 'refinement.png'


def refine_files(pairs: FilePairs, intrinsics: Intrinsics, out: str, initial: Any,
                 ranges: tuple[float, float], intensity_scale: float | None = None,
                 calibrator: Calibrator | None = None) -> dict:
    """Refine the pose of one camera over all pairs, print the result, and draw a sheet of it.

    Args:
        pairs: Pairs; see :func:`~nclr_plugin.apis.inputs.find_pairs`.
        intrinsics: Intrinsics of the camera.
        out: Folder for the sheet.
        initial: (4, 4) rough ``lidar2cam``.
        ranges: Largest rotation (degrees) and translation (metres) from it.
        intensity_scale: Factor that scales intensities to 0..1.
        calibrator: Network to start from.

    Returns:
        Content of ``extrinsics.yaml``: ``lidar2cam``, ``reliable``, and others.

    Raises:
        CalibrationInputError: If a pair cannot be used.
    """
    for name, reason in pairs.unusable.items():
        print(f'{name}: NOT USABLE: {reason}')
    frames = [Pair(*pairs.load(name), intrinsics, name) for name in pairs.names]
    result = refine(frames, initial, *ranges, calibrator=calibrator,
                    intensity_scale=intensity_scale, progress=True)
    print(describe_refinement(result))
    write_png(Path(out) / SHEET, draw_sheet(result, frames))
    print(f'written: {Path(out) / SHEET}')
    return refinement_record(result)


def draw_sheet(result: Refinement, pairs: Sequence[Pair]) -> np.ndarray:
    """Draw the best, the median and the worst frame before and after, and the scores.

    Args:
        result: Result of :func:`~nclr_plugin.apis.refine`.
        pairs: Its frames; ``cam2img`` is :class:`~nclr_plugin.apis.Intrinsics`.

    Returns:
        uint8 RGB picture.
    """
    scores = np.stack((result.scores_before, result.scores_after))
    frames = []
    for title, idx in best_median_worst(scores[1]).items():
        image, points, intrinsics, name = pairs[idx]
        frames.append(Frame(f'{title} frame, {name}', intrinsics.undistort(image), points,
                            intrinsics.cam2img, scores[:, idx]))
    profiles = result.profiles_before, result.profiles_after
    offsets = np.repeat((profiles[0].offsets_deg, profiles[0].offsets_m), 3, axis=0)
    return draw_refinement(
        describe_refinement(result), frames, (result.initial, result.refined), offsets,
        [profile.scores + total for profile, total in zip(profiles, scores.sum(axis=1))])


def refinement_record(result: Refinement) -> dict:
    """Return the entries of a result for ``extrinsics.yaml``."""
    deviation = np.sqrt(np.diag(result.covariance))
    return dict(
        lidar2cam=result.lidar2cam.tolist(), reliable=bool(result.reliable), kept=result.kept,
        reason=result.reason, preference=float(result.preference),
        evidence=float(result.evidence), p_value=float(result.p_value),
        initial=result.initial.tolist(), refined=result.refined.tolist(),
        rotation_deviation_deg=np.degrees(deviation[:3]).tolist(),
        translation_deviation_m=deviation[3:].tolist(),
        pairs={name: dict(score_before=float(before), score_after=float(after))
               for name, before, after in zip(result.names, result.scores_before,
                                              result.scores_after)})
