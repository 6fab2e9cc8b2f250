"""Refine and check the poses of cameras from files, and write the extrinsics."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .calibrator import Calibrator
from .intrinsics import Intrinsics
from .pairs import EXTRINSICS, read_pair_image, write_yaml
from .refinement import Pair, Refinement, describe_refinement, refine
from .scans import load_scan


def refine_files(pairs: dict[str, tuple[str, str]], unusable: dict[str, str],
                 intrinsics: Intrinsics, out: str, initial: Any,
                 ranges: tuple[float, float], lidar_dim: int = 4,
                 intensity_scale: float | None = None,
                 calibrator: Calibrator | None = None) -> bool:
    """Refine the pose of one camera over all pairs; print the result and write it to ``out``.

    Args:
        pairs: Image and scan file of each pair, by name.
        unusable: Reasons why further pairs cannot be used, by name.
        intrinsics: Intrinsics of the camera.
        out: Output folder.
        initial: (4, 4) rough ``lidar2cam``.
        ranges: Largest rotation (degrees) and translation (metres) from it.
        lidar_dim: Number of columns in raw scans.
        intensity_scale: Factor that scales intensities to 0..1.
        calibrator: Network to start from.

    Returns:
        Whether the pose is reliable.

    Raises:
        CalibrationInputError: If a pair cannot be used.
    """
    for name, reason in unusable.items():
        print(f'{name}: NOT USABLE: {reason}')
    frames = [Pair(read_pair_image(image), load_scan(scan, lidar_dim), intrinsics, name)
              for name, (image, scan) in pairs.items()]
    result = refine(frames, initial, *ranges, calibrator=calibrator,
                    intensity_scale=intensity_scale, progress=True)
    print(describe_refinement(result))
    path = Path(out) / EXTRINSICS
    write_yaml(path, refinement_record(result))
    print(f'written: {path}')
    return result.reliable


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
