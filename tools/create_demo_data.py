"""Generate a demo data set: driving scenes with LiDAR, cameras and labels.

    python tools/create_demo_data.py data/demo --layout semantickitti --scenes 200
"""
import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.demo import HEADINGS, LAYOUTS, DemoOptions, generate  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402


def main(argv=None):
    """Parse the command line, generate the data and print a summary."""
    args = parse_args(argv)
    start = time.time()
    with one_line_errors(ValueError):
        options = DemoOptions(
            scenes=args.scenes,
            val_scenes=(args.scenes + 3) // 4 if args.val_scenes is None else args.val_scenes,
            seed=args.seed, towns=args.towns, heading=args.heading,
            image_size=tuple(args.image_size) if args.image_size else None, focal=args.focal,
            beams=args.beams, azimuths=args.azimuths, sensor_height=args.sensor_height)
        lines = generate(args.out, args.layout, options, args.workers, show_progress)
    seconds, total = time.time() - start, options.scenes + options.val_scenes
    print(f"\n{total} scenes in {seconds:.0f} s ({seconds / total:.2f} s a scene), layout "
          f"'{args.layout}', seed {args.seed}, heading '{args.heading}':")
    print('\n'.join(lines))


def parse_args(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Generate driving scenes with LiDAR, cameras and labels, in the layout of a '
        'public data set.')
    parser.add_argument('out', help='folder to write; it must be empty or not exist')
    parser.add_argument('--layout', choices=sorted(LAYOUTS), default='semantickitti',
                        help='data set whose layout is used (default: semantickitti)')
    parser.add_argument('--scenes', type=int, default=200,
                        help='number of training scenes (default: 200)')
    parser.add_argument('--val-scenes', type=int,
                        help='number of validation scenes, in another town (default: a quarter of '
                        '--scenes)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: 0)')
    parser.add_argument('--towns', type=int, default=4,
                        help='number of training towns (default: 4)')
    parser.add_argument('--heading', choices=HEADINGS, default='road',
                        help='road: the vehicle drives along the street; free: any heading, '
                        'anywhere on the road (default: road)')
    parser.add_argument('--image-size', type=int, nargs=2, metavar=('WIDTH', 'HEIGHT'),
                        help='pixels (default: kitti 1242 375, nuscenes 1600 900, rig 640 360)')
    parser.add_argument('--focal', type=float,
                        help='focal length in pixels (default: kitti 721.5, nuscenes front camera '
                        '1266, rig 448, scaled with the width)')
    parser.add_argument('--beams', type=int, choices=(64, 32),
                        help='number of LiDAR beams (default: kitti and rig 64, nuscenes 32)')
    parser.add_argument('--azimuths', type=int,
                        help='number of LiDAR azimuth steps (default: kitti 1800, nuscenes '
                        '1084, rig 1024)')
    parser.add_argument('--sensor-height', type=float,
                        help='height of the LiDAR in metres (default: kitti and rig 1.73, nuscenes '
                        '1.84)')
    parser.add_argument('--workers', type=int, default=1,
                        help='number of processes (default: 1)')
    return parser.parse_args(argv)


def show_progress(done, total):
    """Print the number of finished scenes: one moving line, or ten lines in a log."""
    if sys.stdout.isatty():
        print(f'\rscene {done}/{total}', end='', flush=True)
    elif done % max(total // 10, 1) == 0 or done == total:
        print(f'scene {done}/{total}', flush=True)


if __name__ == '__main__':
    main()
