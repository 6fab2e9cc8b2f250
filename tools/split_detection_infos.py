"""Split KITTI infos into label fractions for detection.

    python tools/split_detection_infos.py /data/kitti
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.datasets.kitti_infos import DETECTION_FRACTIONS, split_kitti  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402


def main(argv=None):
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(
        description='Split the KITTI infos of mmdet3d or OpenPCDet into label fractions, each '
        'with its own object database.')
    parser.add_argument('root', help='KITTI folder with the info files; the output is written '
                        'there')
    parser.add_argument('--fractions', type=float, nargs='+', default=DETECTION_FRACTIONS,
                        metavar='PERCENT', help='label fractions (default: 10 20 50)')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of the random choice (default: 0)')
    parser.add_argument('--split', metavar='FILE',
                        help='use the frames of this kitti_label_split.json')
    args = parser.parse_args(argv)
    with one_line_errors():
        split_kitti(args.root, args.fractions, args.seed, args.split)


if __name__ == '__main__':
    main()
