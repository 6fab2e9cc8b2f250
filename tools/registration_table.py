"""Print a table of methods and data sets, in the layout of registration papers.

    python tools/registration_table.py NAME=RESULTS.CSV ... --protocol corri2p_10_5
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.evaluation import PROTOCOLS  # noqa: E402
from nclr_plugin.experiments.tables import read_results, registration_table


def main(argv=None):
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(
        description='Print RRE, RTE, inlier ratio and recall of results of tools/ablation.py: a '
        'line for each method and test set, columns for each data set.')
    parser.add_argument('results', nargs='+', metavar='NAME=RESULTS.CSV',
                        help='name of a data set, and the results of the methods on it')
    parser.add_argument('--protocol', default='corri2p_10_5', choices=sorted(PROTOCOLS),
                        help='evaluation protocol (default: corri2p_10_5)')
    parser.add_argument('--inlier-px', type=float, default=5.,
                        help='threshold of the inlier ratio in pixels (default: 5)')
    args = parser.parse_args(argv)
    for word in args.results:
        if '=' not in word:
            parser.error(f'expected NAME=RESULTS.CSV, found {word}')
    with one_line_errors(ValueError):
        data_sets = {name: read_results(Path(path), args.protocol)
                     for name, path in (word.split('=', 1) for word in args.results)}
        print(registration_table(data_sets, args.protocol, args.inlier_px))


if __name__ == '__main__':
    main()
