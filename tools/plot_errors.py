"""Plot the errors of several methods: recall over thresholds, or histograms.

    python tools/plot_errors.py NCLR=views.csv CrossI2P=other.csv --recall recall.png
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.experiments.curves import ROTATIONS, describe, read_errors, recall_curves  # noqa: E402
from nclr_plugin.visualization import plot_error_histograms, plot_recall  # noqa: E402
from nclr_plugin.visualization.canvas import write_png  # noqa: E402


def main(argv=None):
    """Parse the command line and draw the plots."""
    parser = argparse.ArgumentParser(
        description='Draw rotation and translation errors of several methods. A table of views is '
        'written by tools/test.py ... --cfg-options test_evaluator.0.out_file=views.csv')
    parser.add_argument('views', nargs='+', metavar='NAME=VIEWS.CSV',
                        help='name of a method, and its table of views')
    parser.add_argument('--recall', type=Path, metavar='PNG',
                        help='draw the share of views below each threshold')
    parser.add_argument('--histogram', type=Path, metavar='PNG',
                        help='draw the share of views by their errors')
    parser.add_argument('--rotation', choices=ROTATIONS, default=ROTATIONS[0],
                        help='rotation error: the angle, or the sum of the Euler angles '
                        '(default: %(default)s)')
    parser.add_argument('--max-deg', type=float, default=10.,
                        help='end of the axis of rotation errors (default: 10)')
    parser.add_argument('--max-m', type=float, default=5.,
                        help='end of the axis of translation errors (default: 5)')
    args = parser.parse_args(argv)
    if not (args.recall or args.histogram):
        parser.error('expected --recall or --histogram, found neither')
    with one_line_errors(ValueError):
        methods = {}
        for word in args.views:
            name, equals, path = word.partition('=')
            if not equals or name in methods:
                parser.error(f'expected NAME=VIEWS.CSV with a name of its own, found {word}')
            methods[name] = read_errors(path, args.rotation)
        if args.recall:
            write_png(args.recall, plot_recall(
                {name: recall_curves(errors, args.max_deg, args.max_m)
                 for name, errors in methods.items()}))
        if args.histogram:
            write_png(args.histogram,
                      plot_error_histograms(methods, args.max_deg, args.max_m))
    for name, errors in methods.items():
        print(describe(name, errors))
    for path in filter(None, (args.recall, args.histogram)):
        print(f'written: {path}')


if __name__ == '__main__':
    main()
