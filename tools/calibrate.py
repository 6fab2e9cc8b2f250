"""Calibrate a camera against a LiDAR from images and scans of a rig.

    python tools/calibrate.py IMAGE SCAN --intrinsics K.yaml --checkpoint CHECKPOINT --out DIR
    python tools/calibrate.py IMAGE SCAN --intrinsics K.yaml --initial guess.yaml --refine --out DIR

IMAGE and SCAN are two files or two folders; a list file or a recording of ROS takes the place of
both. With a network, the poses of all pairs are fused. --refine needs no network: it finds the
pose near the guess that fits all pairs best. --check tells whether the pose --initial is right.
Both also work for each camera of a rig.yaml, the file of pretraining:

    python tools/calibrate.py rig.yaml --refine --out DIR
    python tools/calibrate.py rig.yaml --check

With --rigid, the cameras keep their relative poses, and the LiDAR is refined or checked against all
of them together.

Exit status: 0 for reliable poses, 1 if one is not reliable or a checked one is off, 2 for an error,
such as input that cannot be used.
"""
import argparse
import os
import sys
import traceback
from pathlib import Path

# Two OpenMP threads beside another busy process slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.apis import Calibrator, read_intrinsics  # noqa: E402
from nclr_plugin.apis.bags import MAX_PAIRS, TOLERANCE  # noqa: E402
from nclr_plugin.apis.bags import SUFFIXES as BAG_SUFFIXES  # noqa: E402
from nclr_plugin.apis.files import (calibrate_files, check_files, check_rig,  # noqa: E402
                                    refine_files, refine_rig)
from nclr_plugin.apis.formats import (EXTRINSICS, FORMATS, Frames,  # noqa: E402
                                      write_extrinsics)
from nclr_plugin.apis.inputs import find_pairs, is_rig, read_initial  # noqa: E402
from nclr_plugin.apis.pose_confirmation import MIN_CONSISTENCY, MIN_EDGE_LEAD  # noqa: E402
from nclr_plugin.apis.refinement import RANGE_DEG, RANGE_M  # noqa: E402
from nclr_plugin.datasets.scan_files import SUFFIXES  # noqa: E402
from nclr_plugin.errors import INPUT_ERRORS, CalibrationInputError, error_line  # noqa: E402

RELIABLE, NOT_RELIABLE, BAD_INPUT = range(3)


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        description='Calibrate a camera against a LiDAR from an image and a scan, or from folders '
        'of them: files with the same stem are a pair, and the poses of all pairs are fused.')
    parser.add_argument('image', help='PNG or JPEG, or a folder of them; or a list (.txt) of an '
                        'image and a scan per line; or a recording of ROS '
                        f'({", ".join(BAG_SUFFIXES)}, or a folder); or a rig.yaml')
    parser.add_argument('scan', nargs='?', help=f'{", ".join(SUFFIXES)}, or a folder of them; none '
                        'beside a list or a recording')
    parser.add_argument('--intrinsics', metavar='FILE',
                        help='YAML file with cam2img and, if known, dist_coeffs, distortion_model '
                        'and image_size; or a file of OpenCV or ROS (camera_info). Default: the '
                        'camera_info of a recording')
    parser.add_argument('--initial', metavar='FILE',
                        help=f'YAML file with a rough lidar2cam, such as {EXTRINSICS} of an '
                        'earlier run; needed if the LiDAR is not mounted upright')
    parser.add_argument('--out', metavar='DIR', help='folder for the extrinsics and pictures')

    network = parser.add_argument_group('network')
    network.add_argument('--checkpoint', metavar='FILE',
                         help='checkpoint of NCLR or CrossI2P; with --refine its pose is the start '
                         'where it is reliable')
    network.add_argument('--config', metavar='FILE',
                         help='config of the network (default: that in the checkpoint)')
    network.add_argument('--device', help='cpu, cuda:0, ... (default: a GPU if there is one)')
    network.add_argument('--no-search', action='store_true',
                         help='do not refine the poses of the matches')
    network.add_argument('--min-consistency', type=float, default=MIN_CONSISTENCY,
                         metavar='SCORE',
                         help='photometric consistency below which a pose is not reliable '
                         '(default: %(default)s)')
    network.add_argument('--min-edge-lead', type=float, default=MIN_EDGE_LEAD, metavar='SCORE',
                         help='lead of its edges over poses nearby, in standard deviations, below '
                         'which a pose is not reliable (default: %(default)s)')

    joint = parser.add_argument_group('refine or check a pose over all pairs')
    joint.add_argument('--refine', action='store_true',
                       help='find the pose near --initial, or the poses near those of a '
                       'rig.yaml, that fit all pairs best')
    joint.add_argument('--check', action='store_true',
                       help='check the pose --initial, or those of a rig.yaml')
    joint.add_argument('--rigid', action='store_true',
                       help='the cameras of the rig.yaml do not move against each other, and '
                       'their relative poses are right: the LiDAR is refined or checked against '
                       'all of them together')
    joint.add_argument('--range-deg', type=float, default=RANGE_DEG, metavar='DEG',
                       help='largest rotation from --initial about each axis of the camera that '
                       '--refine tries (default: %(default)g)')
    joint.add_argument('--range-m', type=float, default=RANGE_M, metavar='M',
                       help='largest translation along each axis, metres (default: %(default)g)')

    scans = parser.add_argument_group('scans')
    scans.add_argument('--lidar-dim', type=int, default=4, metavar='N',
                       help='columns of .bin and .npy scans (default: 4; nuScenes: 5)')
    scans.add_argument('--intensity-scale', type=float, metavar='FACTOR',
                       help='factor that brings intensities to 0..1, such as 0.0039216 for 0..255 '
                       '(default: that of the training if it fits, else guessed from the scan)')

    recording = parser.add_argument_group('recordings of ROS')
    recording.add_argument('--image-topic', metavar='TOPIC',
                           help='topic of the images (default: the only one)')
    recording.add_argument('--points-topic', metavar='TOPIC',
                           help='topic of the scans (default: the only one)')
    recording.add_argument('--tolerance', type=float, metavar='SECONDS',
                           help='largest difference of the time stamps of an image and a scan '
                           f'(default: {TOLERANCE:g})')
    recording.add_argument('--max-pairs', type=int, metavar='N',
                           help='number of pairs that are used, evenly spaced (default: '
                           f'{MAX_PAIRS})')

    formats = parser.add_argument_group('formats of the pose')
    formats.add_argument('--format', nargs='+', choices=FORMATS, default=[],
                         help='write and print the pose in these formats, too, beside '
                         f'{EXTRINSICS}')
    formats.add_argument('--lidar-frame', metavar='NAME',
                         help='frame of the LiDAR in ROS and URDF (default: that of a recording, '
                         f'or {Frames().lidar})')
    formats.add_argument('--camera-frame', metavar='NAME',
                         help='optical frame of the camera (default: that of a recording, or '
                         f'{Frames().camera})')
    args = parser.parse_intermixed_args(argv)
    needs_pose = args.refine or args.check
    if args.refine and args.check:
        parser.error('expected one of --refine and --check')
    if is_rig(args.image) and not needs_pose:
        parser.error('expected --refine or --check beside a rig.yaml')
    if args.rigid and not is_rig(args.image):
        parser.error('--rigid: expected a rig.yaml')
    if needs_pose and bool(args.initial) == is_rig(args.image):
        parser.error('--refine and --check need a pose: expected either --initial or a rig.yaml')
    if not needs_pose and not args.checkpoint:
        parser.error('expected --checkpoint, or --refine or --check')
    if not args.check and not args.out:
        parser.error('expected a folder for the results: --out')
    return args


def recording_options(args):
    """Return the options of a recording that are given."""
    names = 'image_topic', 'points_topic', 'tolerance', 'max_pairs'
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def main(argv=None):
    """Calibrate or check, and exit with a status that tells whether the poses are reliable."""
    args = parse_args(argv)
    try:
        reliable = (run_rig if is_rig(args.image) else run_camera)(args)
    except INPUT_ERRORS as error:
        print(error_line(error), file=sys.stderr)
        sys.exit(BAD_INPUT)
    except Exception:  # Python's own exit status would be that of a pose that is not reliable
        traceback.print_exc()
        sys.exit(BAD_INPUT)
    sys.exit(RELIABLE if reliable else NOT_RELIABLE)


def run_rig(args):
    """Refine or check each camera of a rig; return whether all are reliable."""
    if args.check:
        checks = check_rig(args.image, args.rigid)
        return not any(result.exit_status for result in checks.values())
    records = refine_rig(args.image, args.out, (args.range_deg, args.range_m),
                         load_calibrator(args), args.rigid)
    for name, record in records.items():
        write_extrinsics(str(Path(args.out) / name), record, args.format, Frames(
            args.lidar_frame or Frames().lidar, args.camera_frame or name))
    return all(record['reliable'] for record in records.values())


def run_camera(args):
    """Calibrate, refine or check one camera; return whether its pose is reliable."""
    pairs = find_pairs(args.image, args.scan, args.lidar_dim, **recording_options(args))
    intrinsics = read_intrinsics(args.intrinsics) if args.intrinsics else pairs.intrinsics
    if intrinsics is None:
        raise CalibrationInputError('expected the intrinsics of the camera (--intrinsics), or '
                                    'a recording with its camera_info, found neither.')
    initial = args.initial and read_initial(args.initial)
    if args.check:
        return not check_files(pairs, intrinsics, initial, args.intensity_scale).exit_status
    if args.refine:
        record = refine_files(pairs, intrinsics, args.out, initial,
                              (args.range_deg, args.range_m), args.intensity_scale,
                              load_calibrator(args))
    else:
        record = calibrate_files(load_calibrator(args), pairs, intrinsics, args.out, initial)
    write_extrinsics(args.out, record, args.format,
                     Frames(args.lidar_frame or pairs.frames.lidar,
                            args.camera_frame or pairs.frames.camera))
    return record['reliable']


def load_calibrator(args):
    """Return the network of the checkpoint, if one is given."""
    return args.checkpoint and Calibrator(
        args.checkpoint, args.config, args.device, args.min_consistency, args.min_edge_lead,
        not args.no_search, args.intensity_scale)


if __name__ == '__main__':
    main()
