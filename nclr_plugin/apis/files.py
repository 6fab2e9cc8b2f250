"""Calibrate, refine and check cameras from files, and report the results."""
from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import yaml

from ..errors import CalibrationInputError
from ..geometry.camera import in_view, project_points
from ..visualization.canvas import write_png
from ..visualization.refinement_sheet import Frame, best_median_worst, draw_refinement
from .calibrator import Calibrator
from .inputs import FilePairs, RigCamera, read_rig
from .intrinsics import Intrinsics
from .joint_search import Pair, check_pair
from .pose_confirmation import MAX_DISTANCE
from .refinement import (MIN_PLACES, RANGE_DEG, RANGE_M, CalibrationCheck, Refinement, check,
                         check_initial, refine)
from .results import (Calibration, RigEstimate, consensus_pose, contradicts, fuse,
                      pose_difference)
from .scans import ScanChecker, load_scan

RIG = 'rig.yaml'
SHEET = 'refinement.png'
MIN_COMMON = 100  # common points from which on two views count as overlapping


def calibrate_files(calibrator: Calibrator, pairs: FilePairs, intrinsics: Intrinsics, out: str,
                    initial: Any = None) -> dict:
    """Calibrate all pairs, fuse their poses, print the results, and draw an overlay of each pair.

    If too few poses are reliable, the mean of those that agree, reliable or not, is refined by all
    pairs together, as a guess is by :func:`refine_files`.

    Args:
        calibrator: Calibrator.
        pairs: Pairs; see :func:`~nclr_plugin.apis.inputs.find_pairs`.
        intrinsics: Intrinsics of the camera.
        out: Folder for the overlays, and the sheet of a refinement.
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
        print(f'{name}: {result.describe()}')
        # Images and scans of a folder may not fit into memory.
        results[name] = result._replace(image=None, scan=None)
    if not results:
        raise CalibrationInputError(f'none of {num_pairs} pairs can be used; {name}: '
                                    f'{unusable[name]}')
    if num_pairs == 1:
        return _record(results[name])
    estimate, pose = fuse(list(results.values())), consensus_pose(list(results.values()))
    record = _rig_record(estimate, results, unusable)
    if estimate.reliable or pose is None or len(results) < MIN_PLACES:
        print(estimate.describe(len(unusable)))
    else:
        print(f'{estimate.num_reliable} of {estimate.num_pairs} pairs are reliable by themselves; '
              'refining the mean of the poses that agree by all pairs together')
        record.update(_refine_consensus(pose, pairs, intrinsics, out, initial,
                                        calibrator.check_scan.intensity_scale))
    return record


def _refine_consensus(pose: np.ndarray, pairs: FilePairs, intrinsics: Intrinsics, out: str,
                      initial: Any, intensity_scale: float | None) -> dict:
    """Refine the pose that a network's poses agree on; return what it changes in the record."""
    try:
        joint = refine_files(pairs, intrinsics, out, pose, (RANGE_DEG, RANGE_M), intensity_scale)
    except CalibrationInputError as error:
        print(f'NOT RELIABLE: under this pose, {error}')
        return {}
    lidar2cam = np.array(joint['lidar2cam'])
    reliable = joint['reliable'] and not contradicts(lidar2cam, initial) and bool(
        np.linalg.norm(lidar2cam[:3, 3]) <= MAX_DISTANCE)
    return dict(lidar2cam=joint['lidar2cam'], reliable=reliable, joint=joint)


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
        CalibrationInputError: If no pair can be used.
    """
    frames = _load(pairs, intrinsics, initial, intensity_scale)
    return refinement_record(_refine(frames, initial, out, ranges, calibrator))


def _refine(frames: Sequence[Pair], initial: Any, out: str, ranges: tuple[float, float],
            calibrator: Calibrator | None) -> Refinement:
    result = refine(frames, initial, *ranges, calibrator=calibrator, progress=True)
    print(result.describe())
    write_png(Path(out) / SHEET, draw_sheet(result, frames))
    print(f'written: {Path(out) / SHEET}')
    return result


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
        image, points, intrinsics, name, ref2cam = pairs[idx]
        frames.append(Frame(f'{title} frame, {name}', intrinsics.undistort(image), points,
                            intrinsics.cam2img, scores[:, idx], ref2cam))
    profiles = result.profiles_before, result.profiles_after
    offsets = np.repeat((profiles[0].offsets_deg, profiles[0].offsets_m), 3, axis=0)
    return draw_refinement(
        result.describe(), frames, (result.initial, result.refined), offsets,
        [profile.scores + total for profile, total in zip(profiles, scores.sum(axis=1))])


def refine_rig(path: str, out: str, ranges: tuple[float, float],
               calibrator: Calibrator | None = None, rigid: bool = False) -> dict[str, dict]:
    """Refine the pose of each camera of a rig, print the results, and write a ``rig.yaml``.

    If the cameras are refined independently, print how much the relative poses of overlapping
    cameras change.

    Args:
        path: ``rig.yaml`` with the guesses; see :func:`~nclr_plugin.apis.inputs.read_rig`.
        out: Folder of the new ``rig.yaml``, and of a folder for each camera. Poses that are not
            reliable stay as they are.
        ranges: Largest rotation (degrees) and translation (metres).
        calibrator: Network to start from.
        rigid: Refine the LiDAR against all cameras together; they keep their relative poses.

    Returns:
        Content of ``extrinsics.yaml`` of each camera, by name.

    Raises:
        CalibrationInputError: If the rig cannot be read, or a camera has no usable pair.
    """
    cameras, records = read_rig(path), {}
    if rigid:
        frames = _load_rig(cameras)
        result = _refine(frames, cameras[0].lidar2cam, out, ranges, calibrator)
        for camera, ref2cam in zip(cameras, _relative_poses(cameras)):
            records[camera.name] = refinement_record(_of_camera(result, frames, ref2cam))
    else:
        for camera in cameras:
            print(f'camera {camera.name}:')
            records[camera.name] = refine_files(
                camera.pairs, camera.intrinsics, str(Path(out) / camera.name), camera.lidar2cam,
                ranges, camera.intensity_scale, calibrator)
    poses = {name: np.array(record['lidar2cam']) for name, record in records.items()}
    if not rigid:
        print_relative_changes(cameras, poses)
    write_rig(path, out, poses)
    return records


def check_rig(path: str, rigid: bool = False) -> dict[str, CalibrationCheck]:
    """Check the pose of each camera of a rig, and print a statement for each.

    Args:
        path: ``rig.yaml``; see :func:`~nclr_plugin.apis.inputs.read_rig`.
        rigid: Check the LiDAR against all cameras together.

    Returns:
        Result of each camera, by name; if ``rigid``, a single one under all names.

    Raises:
        CalibrationInputError: If the rig cannot be read, or a camera has no usable pair.
    """
    cameras, checks = read_rig(path), {}
    if rigid:
        name = ', '.join(camera.name for camera in cameras)
        checks[name] = check(_load_rig(cameras), cameras[0].lidar2cam)
        print(f'cameras {name}: {checks[name].statement}')
        return checks
    for camera in cameras:
        checks[camera.name] = check_files(camera.pairs, camera.intrinsics, camera.lidar2cam,
                                          camera.intensity_scale, f'camera {camera.name}: ')
    return checks


def check_files(pairs: FilePairs, intrinsics: Intrinsics, lidar2cam: Any,
                intensity_scale: float | None = None, title: str = '') -> CalibrationCheck:
    """Check the pose of one camera, and print a statement after a title.

    Args:
        pairs, intrinsics, intensity_scale: See :func:`refine_files`.
        lidar2cam: (4, 4), the calibration.
        title: Name of the camera.

    Raises:
        CalibrationInputError: If no pair can be used.
    """
    frames = _load(pairs, intrinsics, lidar2cam, intensity_scale)
    result = check(frames, lidar2cam)
    print(f'{title}{result.statement}')
    return result


def _load(pairs: FilePairs, intrinsics: Intrinsics, initial: Any,
          intensity_scale: float | None, camera: str = '',
          ref2cam: np.ndarray = np.eye(4)) -> list[Pair]:
    """Load and check pairs; print the names of those that cannot be used.

    Returns:
        The usable pairs, with undistorted images and intensities in 0..1.

    Raises:
        CalibrationInputError: If none can be used.
    """
    initial = check_initial(initial)
    check_scan = ScanChecker(intensity_scale)
    unusable, frames = dict(pairs.unusable), []
    for name in pairs.names:
        try:
            pair = check_pair(Pair(*pairs.load(name), intrinsics, camera + name, ref2cam), initial,
                              check_scan)
        except CalibrationInputError as error:
            unusable[name] = str(error)
            continue
        frames.append(pair)
    if not frames:
        raise CalibrationInputError(f'none of {len(unusable)} pairs can be used; {name}: '
                                    f'{unusable[name]}')
    for name, reason in unusable.items():
        print(f'{name}: NOT USABLE: {reason}')
    return frames


def _relative_poses(cameras: Sequence[RigCamera]) -> list[np.ndarray]:
    """Return the pose (4, 4) of the first camera relative to each."""
    return [camera.lidar2cam @ np.linalg.inv(cameras[0].lidar2cam) for camera in cameras]


def _load_rig(cameras: Sequence[RigCamera]) -> list[Pair]:
    """Load the pairs of all cameras, in temporal order; the first camera is the reference."""
    pairs = []
    for number, (camera, ref2cam) in enumerate(zip(cameras, _relative_poses(cameras))):
        loaded = _load(camera.pairs, camera.intrinsics, cameras[0].lidar2cam,
                       camera.intensity_scale, f'{camera.name}/', ref2cam)
        pairs += [(pair.name.split('/', 1)[1], number, pair) for pair in loaded]
    return [pair for _, _, pair in sorted(pairs, key=lambda entry: entry[:2])]


def _of_camera(result: Refinement, pairs: Sequence[Pair], ref2cam: np.ndarray) -> Refinement:
    """Return the result for one camera of a rigid rig."""
    poses = {name: ref2cam @ getattr(result, name) for name in ('lidar2cam', 'initial', 'refined')}
    turn = np.kron(np.eye(2), ref2cam[:3, :3])
    used = [idx for idx, pair in enumerate(pairs) if (pair.ref2cam == ref2cam).all()]
    return result._replace(
        **poses, covariance=turn @ result.covariance @ turn.T,
        names=[result.names[idx] for idx in used], scores_before=result.scores_before[used],
        scores_after=result.scores_after[used])


def refinement_record(result: Refinement) -> dict:
    """Return the entries of a result for ``extrinsics.yaml``."""
    deviation = np.sqrt(np.diag(result.covariance))
    return dict(
        lidar2cam=result.lidar2cam.tolist(), reliable=bool(result.reliable), kept=result.kept,
        reason=result.reason, preference=float(result.preference),
        evidence=float(result.evidence), p_value=float(result.p_value),
        num_places=result.num_places, difference_of_halves_deg=float(result.difference[0]),
        difference_of_halves_m=float(result.difference[1]),
        initial=result.initial.tolist(), refined=result.refined.tolist(),
        rotation_deviation_deg=np.degrees(deviation[:3]).tolist(),
        translation_deviation_m=deviation[3:].tolist(),
        pairs={name: dict(score_before=float(before), score_after=float(after))
               for name, before, after in zip(result.names, result.scores_before,
                                              result.scores_after)})


def print_relative_changes(cameras: Sequence[RigCamera], poses: dict[str, np.ndarray]) -> None:
    """Print how much new poses (4, 4), by name, change the relative poses of cameras.

    Only cameras that see the same points of the first scan are compared.
    """
    name = cameras[0].pairs.names[0]
    points = load_scan(cameras[0].pairs.files[name][1], cameras[0].pairs.lidar_dim)[:, :3]
    seen = [_in_view(camera, points) for camera in cameras]
    for (one, first), (two, second) in combinations(zip(cameras, seen), 2):
        common = int((first & second).sum())
        if common >= MIN_COMMON:
            before, after = (pose @ np.linalg.inv(other) for pose, other in (
                (one.lidar2cam, two.lidar2cam), (poses[one.name], poses[two.name])))
            rotation, translation = pose_difference(after, before)
            print(f'{one.name} and {two.name}, which see {common} points in common: the pose of '
                  f'one against the other changes by {rotation:.2f} deg and {translation:.2f} m')


def _in_view(camera: RigCamera, points: np.ndarray) -> np.ndarray:
    """Return a mask (N,) of the points (N, 3) that a camera sees."""
    pixels, depth = project_points(
        np.asarray(points, np.float64), camera.lidar2cam, camera.intrinsics.cam2img)
    width, height = camera.intrinsics.image_size
    return in_view(pixels, depth, height, width)


def write_rig(path: str, out: str, poses: dict[str, np.ndarray]) -> None:
    """Write a copy of a ``rig.yaml`` with new poses (4, 4), by name of the camera.

    Its folders become absolute paths, so that the copy works in another place.
    """
    with open(path, encoding='utf-8') as stream:
        rig = yaml.safe_load(stream)
    root = os.path.dirname(os.path.abspath(path))
    for entry in (rig['lidar'], *rig['cameras']):
        entry['folder'] = os.path.join(root, entry['folder'])
    for camera in rig['cameras']:
        camera['lidar2cam'] = poses[str(camera['name'])].tolist()
    target = Path(out) / RIG
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, 'w', encoding='utf-8') as stream:
        yaml.safe_dump(rig, stream, sort_keys=False, default_flow_style=None)
    print(f'written: {target}')
