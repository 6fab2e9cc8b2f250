"""Calibrate a rig from files: ``tools/calibrate.py``."""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

import numpy as np

from ..datasets.images import read_image
from ..datasets.readers.pairing import (IMAGE_SUFFIXES, Folder, describe_missing, match_files)
from ..datasets.scan_files import SUFFIXES
from ..engine.hooks.picture_hook import write_png
from ..errors import INPUT_ERRORS, BrokenFrameError, CalibrationInputError
from .calibration import MAX_FROM_INITIAL_DEG, Calibration, pose_difference
from .calibrator import MIN_AGREEMENT, MIN_INLIER_RATIO, Calibrator
from .intrinsics_files import read_intrinsics
from .rig_estimate import RigEstimate, fuse
from .scans import load_scan

BAD_INPUT, NOT_RELIABLE = 2, 1
EXTRINSICS = 'extrinsics.yaml'


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line.

    Ends with status 0, 1 when the pose is not reliable (which the files say, too), or 2 when the
    input cannot be used.

    Args:
        argv: Arguments of the command line; default ``sys.argv[1:]``.
    """
    args = parse(argv)
    try:
        reliable = run(args)
    except INPUT_ERRORS as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        sys.exit(BAD_INPUT)
    sys.exit(0 if reliable else NOT_RELIABLE)


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Extrinsics of a camera against a LiDAR from an image and a scan, or from '
        'folders of them (files of one stem are a pair), whose poses are fused.')
    parser.add_argument('image', help='PNG or JPEG, or a folder of them')
    parser.add_argument('scan', help=f'{", ".join(SUFFIXES)}, or a folder of them')
    parser.add_argument('--intrinsics', required=True,
                        help='YAML: cam2img, and perhaps dist_coeffs, distortion_model and '
                        'image_size; or a file of OpenCV or of ROS (camera_info)')
    parser.add_argument('--checkpoint', required=True, help='of a trained NCLR or CrossI2P')
    parser.add_argument('--out', required=True, help='folder for the extrinsics and overlays')
    parser.add_argument('--config', help='default: the config in the checkpoint')
    parser.add_argument('--initial', help='YAML with a rough lidar2cam, such as an earlier '
                        f'{EXTRINSICS}; needed when the LiDAR is not mounted upright')
    parser.add_argument('--lidar-dim', type=int, default=4,
                        help='columns of .bin and .npy scans (default: 4; nuScenes: 5)')
    parser.add_argument('--intensity-scale', type=float,
                        help='what turns intensities into 0..1, such as 0.0039216 for 0..255 '
                        '(default: that of the training, if they fit it, or what they look like)')
    parser.add_argument('--min-inlier-ratio', type=float, default=MIN_INLIER_RATIO,
                        help='share of agreeing matches below which a pose is not reliable '
                        '(default: %(default)s)')
    parser.add_argument('--min-agreement', type=float, default=MIN_AGREEMENT,
                        help='agreement of the appearance below which it is not either '
                        '(default: %(default)s)')
    parser.add_argument('--no-search', action='store_true',
                        help='do not search near an unreliable pose for the one that image and '
                        'scan speak for')
    parser.add_argument('--device', help='default: a GPU if there is one')
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> bool:
    """Calibrate all pairs, write the files, print the findings.

    A pair of a folder that is incomplete or cannot be used is reported and skipped.

    Returns:
        Whether the estimate is reliable.

    Raises:
        CalibrationInputError: No pair can be used.
    """
    pairs, unusable = _pairs(args.image, args.scan)
    num_pairs = len(pairs) + len(unusable)
    for stem, reason in unusable.items():
        print(f'{stem}: NOT USABLE: {reason}')
    intrinsics = read_intrinsics(args.intrinsics)
    initial = None if args.initial is None else _read_initial(args.initial)
    calibrator = Calibrator(args.checkpoint, args.config, args.device, args.min_inlier_ratio,
                            args.min_agreement, not args.no_search, args.intensity_scale)
    out = Path(args.out)
    found: Dict[str, Calibration] = {}
    for stem, (image, scan) in pairs.items():
        try:
            result = calibrator(_read_image(image), load_scan(scan, args.lidar_dim), intrinsics,
                                initial)
        except CalibrationInputError as error:
            if num_pairs == 1:
                raise
            unusable[stem] = str(error)
            print(f'{stem}: NOT USABLE: {error}')
            continue
        write_png(out / f'overlay_{stem}.png', result.overlay())
        print(f'{stem}: {describe(result)}')
        # A folder of full images would not fit into memory.
        found[stem] = result._replace(image=None, scan=None)
    if not found:
        raise CalibrationInputError(f'none of {num_pairs} pairs can be used; {stem}: '
                                    f'{unusable[stem]}')
    if num_pairs == 1:
        content, reliable = _record(found[stem]), found[stem].reliable
    else:
        estimate = fuse(list(found.values()))
        print(describe_rig(estimate, len(unusable)))
        content, reliable = _rig_record(estimate, found, unusable), estimate.reliable
    path = out / EXTRINSICS
    _write_yaml(path, content)
    print(f'written: {path}')
    return reliable


def describe(found: Calibration) -> str:
    """One line on a pair."""
    if not found.valid:
        return 'no pose was found: image and scan may be of different places'
    line = f'{100 * found.inlier_ratio:.0f}% of the matches agree'
    if np.isfinite(found.reprojection_error):
        line += f', to {found.reprojection_error:.1f} px'
    line += f'; appearance {found.agreement:.2f}'
    if found.searched:
        line += ', by which the pose was searched'
    if found.initial is not None:
        turn, shift = pose_difference(found.lidar2cam, found.initial)
        line += f', {turn:.2f} deg and {shift:.2f} m from the initial guess'
    if found.contradicts_initial:
        line += ('; NOT RELIABLE: it contradicts the initial guess by more than '
                 f'{MAX_FROM_INITIAL_DEG:g} deg')
    elif not found.reliable:
        line += '; NOT RELIABLE: image and scan may be of different places, or unlike the training'
    return line


def describe_rig(estimate: RigEstimate, num_unusable: int = 0) -> str:
    """One line on a rig, and on pairs that could not be used."""
    line = (f'{len(estimate.used)} of {estimate.num_pairs} pairs are reliable and agree '
            f'({estimate.num_reliable} are reliable)')
    if num_unusable:
        line += f', {num_unusable} could not be used'
    if len(estimate.used) > 1:
        turn, shift = (_numbers(values) for values in (
            estimate.rotation_spread_deg, estimate.translation_spread_m))
        line += f'; their spread is {turn} deg about and {shift} m along the axes of the camera'
    return line if estimate.reliable else f'{line}; NOT RELIABLE: too few agree'


def _numbers(values: np.ndarray) -> str:
    return ' / '.join(f'{value:.2f}' for value in values)


def _pairs(image: str, scan: str) -> Tuple[Dict[str, Tuple[str, str]], Dict[str, str]]:
    """Return the image and scan of each complete pair, and why the other stems have none."""
    if os.path.isdir(image) != os.path.isdir(scan):
        raise CalibrationInputError(
            f"expected two files or two folders, found '{image}' and '{scan}'.")
    if not os.path.isdir(image):
        return {Path(image).stem: (image, scan)}, {}
    folders = dict(image=Folder(image, IMAGE_SUFFIXES), scan=Folder(scan, SUFFIXES))
    found, missing = match_files(folders)
    unusable = {stem: f"expected its {name} in '{folders[name].path}' "
                      f"({stem}{f' or {stem}'.join(folders[name].suffixes)}), found none"
                for name, stems in missing.items() for stem in stems}
    pairs = {stem: (os.path.join(image, file), os.path.join(scan, found['scan'][stem]))
             for stem, file in found['image'].items() if stem in found['scan']}
    if not pairs:
        raise CalibrationInputError(
            'expected images and scans that share their stems (000012.png goes with 000012.bin), '
            f'found no such pair: {describe_missing(folders, found, missing)}; rename the files.')
    return pairs, unusable


def _read_image(path: str) -> np.ndarray:
    try:
        return read_image('given', dict(img_path=path))
    except BrokenFrameError as error:
        raise CalibrationInputError(error.reason) from error


def _read_initial(path: str) -> Any:
    import yaml  # comes with mmengine

    try:
        with open(path, encoding='utf-8') as stream:
            return yaml.safe_load(stream)['lidar2cam']
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CalibrationInputError(f"initial guess '{path}': expected a YAML file with lidar2cam, "
                                    f'4 rows of 4 numbers, found a fault: {error}') from error


def _record(found: Calibration) -> dict:
    deviation = np.sqrt(np.diag(found.covariance))
    return dict(
        lidar2cam=found.lidar2cam.tolist(), cam2img=found.cam2img.tolist(),
        reliable=bool(found.reliable), valid=bool(found.valid), num_pairs=1,
        inlier_ratio=float(found.inlier_ratio), agreement=float(found.agreement),
        searched=bool(found.searched),
        num_matches=len(found.matches.points),
        reprojection_error_px=float(found.reprojection_error),
        rotation_deviation_deg=np.degrees(deviation[:3]).tolist(),
        translation_deviation_m=deviation[3:].tolist())


def _rig_record(estimate: RigEstimate, pairs: Dict[str, Calibration],
                unusable: Dict[str, str]) -> dict:
    stems = list(pairs)
    return dict(
        lidar2cam=estimate.lidar2cam.tolist(),
        cam2img=next(iter(pairs.values())).cam2img.tolist(), reliable=bool(estimate.reliable),
        num_pairs=estimate.num_pairs, num_reliable=estimate.num_reliable,
        num_used=len(estimate.used), used=[stems[place] for place in estimate.used],
        rotation_spread_deg=estimate.rotation_spread_deg.tolist(),
        translation_spread_m=estimate.translation_spread_m.tolist(),
        pairs={stem: _record(found) for stem, found in pairs.items()}, unusable=unusable)


def _write_yaml(path: Path, content: dict) -> None:
    import yaml  # comes with mmengine

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='utf-8') as stream:
        yaml.safe_dump(content, stream, sort_keys=False, default_flow_style=None)
