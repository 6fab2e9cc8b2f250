"""Refine and check the poses of cameras from files, and report the results."""
from __future__ import annotations

from typing import Any

import numpy as np

from .calibrator import Calibrator
from .inputs import FilePairs
from .intrinsics import Intrinsics
from .refinement import Pair, Refinement, describe_refinement, refine


def refine_files(pairs: FilePairs, intrinsics: Intrinsics, initial: Any,
                 ranges: tuple[float, float], intensity_scale: float | None = None,
                 calibrator: Calibrator | None = None) -> dict:
    """Refine the pose of one camera over all pairs, and print the result.

    Args:
        pairs: Pairs; see :func:`~nclr_plugin.apis.inputs.find_pairs`.
        intrinsics: Intrinsics of the camera.
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
    return refinement_record(result)


def refinement_record(result: Refinement) -> dict:
    """Return the entries of a result for ``extrinsics.yaml``."""
    deviation = np.sqrt(np.diag(result.covariance))
    return dict(
        lidar2cam=result.lidar2cam.tolist(), reliable=bool(result.reliable), kept=result.kept,
        reason=result.reason, significance=float(result.significance),
        initial=result.initial.tolist(), refined=result.refined.tolist(),
        rotation_deviation_deg=np.degrees(deviation[:3]).tolist(),
        translation_deviation_m=deviation[3:].tolist(),
        pairs={name: dict(score_before=float(before), score_after=float(after))
               for name, before, after in zip(result.names, result.scores_before,
                                              result.scores_after)})
