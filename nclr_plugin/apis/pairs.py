"""Calibrate pairs of images and scans with a network, and report the results."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CalibrationInputError
from ..visualization.canvas import write_png
from .calibrator import Calibrator
from .inputs import FilePairs
from .intrinsics import Intrinsics
from .results import MAX_FROM_INITIAL_DEG, Calibration, RigEstimate, fuse, pose_difference


def calibrate_pairs(calibrator: Calibrator, pairs: FilePairs, intrinsics: Intrinsics, out: str,
                    initial: Any = None) -> dict:
    """Calibrate all pairs, fuse their poses, print the results, and draw an overlay of each pair.

    Args:
        calibrator: Calibrator.
        pairs: Pairs; see :func:`~nclr_plugin.apis.inputs.find_pairs`.
        intrinsics: Intrinsics of the camera.
        out: Folder for the overlays.
        initial: (4, 4) rough ``lidar2cam``.

    Returns:
        Content of ``extrinsics.yaml``: ``lidar2cam``, ``reliable``, and others.

    Raises:
        CalibrationInputError: If no pair can be used.
    """
    unusable = dict(pairs.unusable)
    num_pairs = len(pairs.names) + len(unusable)
    for name, reason in unusable.items():
        print(f'{name}: NOT USABLE: {reason}')
    results: dict[str, Calibration] = {}
    for name in pairs.names:
        try:
            result = calibrator(*pairs.load(name), intrinsics, initial)
        except CalibrationInputError as error:
            if num_pairs == 1:
                raise
            unusable[name] = str(error)
            print(f'{name}: NOT USABLE: {error}')
            continue
        write_png(Path(out) / f'overlay_{name}.png', result.overlay())
        print(f'{name}: {describe(result)}')
        # Images and scans of a folder may not fit into memory.
        results[name] = result._replace(image=None, scan=None)
    if not results:
        raise CalibrationInputError(f'none of {num_pairs} pairs can be used; {name}: '
                                    f'{unusable[name]}')
    if num_pairs == 1:
        return _record(results[name])
    estimate = fuse(list(results.values()))
    print(describe_rig(estimate, len(unusable)))
    return _rig_record(estimate, results, unusable)


def describe(result: Calibration) -> str:
    """Describe the result of a pair in one line."""
    if not result.valid:
        return 'no pose was found: image and scan may be of different places'
    line = f'{100 * result.inlier_ratio:.0f}% of the matches agree'
    if np.isfinite(result.reprojection_error):
        line += f', to {result.reprojection_error:.1f} px'
    line += (f'; photometric consistency {result.photometric_consistency:.2f}, '
             f'lead of edges {result.edge_lead:.1f}')
    if result.initial is not None:
        rotation, translation = pose_difference(result.lidar2cam, result.initial)
        line += f', {rotation:.2f} deg and {translation:.2f} m from the initial guess'
    if result.contradicts_initial:
        line += ('; NOT RELIABLE: it contradicts the initial guess by more than '
                 f'{MAX_FROM_INITIAL_DEG:g} deg')
    elif not result.reliable:
        line += '; NOT RELIABLE: image and scan may be of different places, or unlike the training'
    return line


def describe_rig(estimate: RigEstimate, num_unusable: int = 0) -> str:
    """Describe a fused pose in one line, with the number of pairs that could not be used."""
    line = (f'{estimate.num_reliable} of {estimate.num_pairs} pairs are reliable, '
            f'{len(estimate.used)} agree')
    if num_unusable:
        line += f', {num_unusable} could not be used'
    if len(estimate.used) > 1:
        rotation, translation = (' / '.join(f'{value:.2f}' for value in spread) for spread in (
            estimate.rotation_spread_deg, estimate.translation_spread_m))
        line += (f'; spread {rotation} deg about and {translation} m along the x / y / z axes of '
                 'the camera')
    return line if estimate.reliable else f'{line}; NOT RELIABLE: too few agree'


def _record(result: Calibration) -> dict:
    deviation = np.sqrt(np.diag(result.covariance))
    return dict(
        lidar2cam=result.lidar2cam.tolist(), cam2img=result.cam2img.tolist(),
        reliable=bool(result.reliable), valid=bool(result.valid), num_pairs=1,
        inlier_ratio=float(result.inlier_ratio),
        photometric_consistency=float(result.photometric_consistency),
        edge_lead=float(result.edge_lead), refined=bool(result.refined),
        num_matches=len(result.matches.points),
        reprojection_error_px=float(result.reprojection_error),
        rotation_deviation_deg=np.degrees(deviation[:3]).tolist(),
        translation_deviation_m=deviation[3:].tolist())


def _rig_record(estimate: RigEstimate, results: dict[str, Calibration],
                unusable: dict[str, str]) -> dict:
    names = list(results)
    return dict(
        lidar2cam=estimate.lidar2cam.tolist(),
        cam2img=results[names[0]].cam2img.tolist(), reliable=bool(estimate.reliable),
        num_pairs=estimate.num_pairs, num_reliable=estimate.num_reliable,
        num_used=len(estimate.used), used=[names[idx] for idx in estimate.used],
        rotation_spread_deg=estimate.rotation_spread_deg.tolist(),
        translation_spread_m=estimate.translation_spread_m.tolist(),
        pairs={name: _record(result) for name, result in results.items()}, unusable=unusable)
