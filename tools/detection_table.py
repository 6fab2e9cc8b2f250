"""Print the paper's Table 2 from logs: nine APs and their mean, for the best repeat.

    python tools/detection_table.py scratch=LOG nclr=LOG nclr=LOG nclr=LOG
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.experiments.detection_ap import precision_table, read_precisions  # noqa: E402


def main(argv=None):
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(
        description="Print KITTI's 3D APs at 40 recall positions (car 0.7, pedestrian and cyclist "
        '0.5) and their mean, from logs of OpenPCDet or mmdet3d.')
    parser.add_argument('logs', nargs='+', metavar='NAME=LOG',
                        help='a method and the log of its evaluation; repeats have the same name, '
                        'and the best of them is shown')
    args = parser.parse_args(argv)
    methods = {}
    with one_line_errors(ValueError):
        for word in args.logs:
            name, equals, path = word.partition('=')
            if not equals:
                parser.error(f'expected NAME=LOG, found {word}')
            methods.setdefault(name, []).append(read_precisions(Path(path)))
    print(precision_table(methods))


if __name__ == '__main__':
    main()
