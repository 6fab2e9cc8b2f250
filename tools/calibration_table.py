"""Measure on real frames how well the pose of a rig is refined and checked; print Markdown tables.

    python tools/calibration_table.py {parts,confirm,refine,network,check} ROOT ... [--frames 20 5]

ROOT has the layout of KITTI's object data; frames of one calibration count as a rig. For confirm,
ROOT may also be a rig.yaml.
"""
import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.apis import Calibrator  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.experiments.rig_calibration import (RigFrames, check_rows,  # noqa: E402
                                                     confirmation_rows, load_single,
                                                     network_rows, part_rows,
                                                     refinement_rows)
from nclr_plugin.experiments.tables import markdown_table  # noqa: E402


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Measure calibration, and print a table. '
        'parts: how sharply each score peaks at the true pose; confirm: which poses of '
        'one pair are called reliable; refine: errors of refined poses; network: the same from '
        'the poses of a network (--checkpoint), and with exchanged images; check: how '
        'often wrong calibrations are found and right ones accepted.')
    parser.add_argument('table', choices=('parts', 'confirm', 'refine', 'network', 'check'),
                        help='what is measured')
    parser.add_argument('root', nargs='+', help="folder of the layout of KITTI's object data")
    parser.add_argument('--list', help='file with the stems of the frames (default: all)')
    parser.add_argument('--frames', type=int, nargs='+', default=[20, 5],
                        help='frames of a draw; for parts and confirm: frames that are scored '
                        '(default: 20 5)')
    parser.add_argument('--draws', type=int, default=20,
                        help='random choices of frames for refine, network and check (default: '
                        '%(default)s)')
    parser.add_argument('--checkpoint', help='network: checkpoint of NCLR or CrossI2P')
    parser.add_argument('--off-deg', type=float, default=3.,
                        help='refine: largest offset of the guess about each axis (default: 3)')
    parser.add_argument('--off-m', type=float, default=0.3,
                        help='refine: largest offset along each axis, metres (default: 0.3)')
    parser.add_argument('--no-intensity', action='store_true',
                        help='confirm: give the scans without their intensities')
    args = parser.parse_args(argv)
    if (args.table == 'network') != bool(args.checkpoint):
        parser.error('expected --checkpoint for network, and for it alone')
    return args


def main(argv=None):
    """Measure and print the table; lines about single draws go to standard error."""
    args = parse_args(argv)

    def say(line):
        print(line, file=sys.stderr, flush=True)

    with one_line_errors():
        names = set(Path(args.list).read_text(encoding='utf-8').split()) if args.list else None
        if args.table == 'confirm':
            pairs = load_single(args.root, names, args.frames[0])
            print(markdown_table(confirmation_rows(pairs, say, not args.no_intensity)))
            return
        frames = RigFrames(args.root, names)
        say(f'{len(frames)} frames of one calibration')
        rows = []
        # The frames judge the poses together, so that single ones need not be refined.
        calibrator = args.checkpoint and Calibrator(args.checkpoint, search=False)
        for number in args.frames:
            if args.table == 'parts':
                rows += part_rows(frames, number)
            elif args.table == 'check':
                rows += check_rows(frames, number, args.draws, say)
            elif args.table == 'network':
                rows += network_rows(frames, calibrator, number, args.draws, say)
            else:
                rows += refinement_rows(frames, number, args.draws, args.off_deg, args.off_m, say)
        print(markdown_table(rows))


if __name__ == '__main__':
    main()
