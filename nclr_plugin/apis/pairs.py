"""Calibrate pairs of image and scan files, and write the extrinsics."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.images import read_image
from ..datasets.readers.pairing import IMAGE_SUFFIXES, Folder, describe_missing, match_files
from ..datasets.scan_files import SUFFIXES
from ..errors import BrokenFrameError, CalibrationInputError
from ..visualization.canvas import write_png
from .calibrator import Calibrator
from .intrinsics import Intrinsics
from .results import MAX_FROM_INITIAL_DEG, Calibration, RigEstimate, fuse, pose_difference
from .scans import load_scan

EXTRINSICS = 'extrinsics.yaml'


def calibrate_pairs(calibrator: Calibrator, pairs: dict[str, tuple[str, str]],
                    unusable: dict[str, str], intrinsics: Intrinsics, out: str,
                    initial: Any = None, lidar_dim: int = 4) -> bool:
    """Calibrate all pairs, fuse their poses, and print and write the results.

    Writes ``extrinsics.yaml`` and one overlay per pair to ``out``.

    Args:
        calibrator: Calibrator.
        pairs: Image and scan file of each pair, by name; see :func:`pair_files`.
        unusable: Reasons why further pairs cannot be used, by name.
        intrinsics: Intrinsics of the camera.
        out: Output folder.
        initial: (4, 4) rough ``lidar2cam``.
        lidar_dim: Number of columns in raw scans.

    Returns:
        Whether the pose is reliable.

    Raises:
        CalibrationInputError: If no pair can be used.
    """
    num_pairs = len(pairs) + len(unusable)
    unusable = dict(unusable)
    for name, reason in unusable.items():
        print(f'{name}: NOT USABLE: {reason}')
    results: dict[str, Calibration] = {}
    for name, (image, scan) in pairs.items():
        try:
            result = calibrator(read_pair_image(image), load_scan(scan, lidar_dim), intrinsics, initial)
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
        result, = results.values()
        content, reliable = _record(result), result.reliable
    else:
        estimate = fuse(list(results.values()))
        print(describe_rig(estimate, len(unusable)))
        content, reliable = _rig_record(estimate, results, unusable), estimate.reliable
    path = Path(out) / EXTRINSICS
    write_yaml(path, content)
    print(f'written: {path}')
    return reliable


def pair_files(image: str, scan: str) -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Pair images with scans.

    Args:
        image: Image, or folder of images.
        scan: Scan, or folder of scans. Files with the same stem are a pair.

    Returns:
        The image and scan of each complete pair, by stem, and what each incomplete one lacks.

    Raises:
        CalibrationInputError: If there is no complete pair.
    """
    if os.path.isdir(image) != os.path.isdir(scan):
        raise CalibrationInputError(
            f"expected two files or two folders, found '{image}' and '{scan}'.")
    if not os.path.isdir(image):
        return {Path(image).stem: (image, scan)}, {}
    folders = dict(image=Folder(image, IMAGE_SUFFIXES), scan=Folder(scan, SUFFIXES))
    files, missing = match_files(folders)
    incomplete = {stem: f"expected its {name} in '{folders[name].path}' "
                        f"({stem}{f' or {stem}'.join(folders[name].suffixes)}), found none"
                  for name, stems in missing.items() for stem in stems}
    pairs = {stem: (os.path.join(image, file), os.path.join(scan, files['scan'][stem]))
             for stem, file in files['image'].items() if stem in files['scan']}
    if not pairs:
        raise CalibrationInputError(
            'expected images and scans with the same stems (000012.png goes with 000012.bin), '
            f'found no such pair: {describe_missing(folders, files, missing)}; rename the files.')
    return pairs, incomplete


def read_initial(path: str) -> Any:
    """Read ``lidar2cam`` from a YAML file; the calibrator checks it.

    Raises:
        CalibrationInputError: If the file or the entry does not exist.
    """
    import yaml  # comes with mmengine

    try:
        with open(path, encoding='utf-8') as stream:
            return yaml.safe_load(stream)['lidar2cam']
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CalibrationInputError(f"initial guess '{path}': expected a YAML file with lidar2cam, "
                                    f'4 rows of 4 numbers, found a fault: {error}') from error


def describe(result: Calibration) -> str:
    """Describe the result of a pair in one line."""
    if not result.valid:
        return 'no pose was found: image and scan may be of different places'
    line = f'{100 * result.inlier_ratio:.0f}% of the matches agree'
    if np.isfinite(result.reprojection_error):
        line += f', to {result.reprojection_error:.1f} px'
    line += f'; photometric consistency {result.photometric_consistency:.2f}'
    if result.searched:
        line += ' (searched)'
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


def read_pair_image(path: str) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8.

    Raises:
        CalibrationInputError: If it cannot be read.
    """
    try:
        return read_image('given', dict(img_path=path))
    except BrokenFrameError as error:
        raise CalibrationInputError(error.reason) from error


def _record(result: Calibration) -> dict:
    deviation = np.sqrt(np.diag(result.covariance))
    return dict(
        lidar2cam=result.lidar2cam.tolist(), cam2img=result.cam2img.tolist(),
        reliable=bool(result.reliable), valid=bool(result.valid), num_pairs=1,
        inlier_ratio=float(result.inlier_ratio),
        photometric_consistency=float(result.photometric_consistency),
        searched=bool(result.searched), num_matches=len(result.matches.points),
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


def write_yaml(path: Path, content: dict) -> None:
    """Write a dict, and make the folder of the file."""
    import yaml  # comes with mmengine

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='utf-8') as stream:
        yaml.safe_dump(content, stream, sort_keys=False, default_flow_style=None)
