"""Plot training losses of several runs.

    python tools/plot_losses.py NAME=WORK_DIR ... --out FILE
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.experiments.curves import read_curves, write_curves  # noqa: E402


def main(argv=None):
    """Parse the command line, draw the plot and print the first and last values."""
    parser = argparse.ArgumentParser(
        description='Plot training losses, or other logged scalars, of several runs.')
    parser.add_argument('runs', nargs='+', metavar='NAME=WORK_DIR',
                        help='label of a run, and the --work-dir of its training')
    parser.add_argument('--out', required=True, help='PNG file to write')
    parser.add_argument('--key', default=['loss'], nargs='+', metavar='KEY',
                        help='names of losses or patterns, such as "weight_*" and "ratio_*" of '
                        'GradNorm (default: loss, the sum)')
    args = parser.parse_args(argv)
    for run in args.runs:
        if '=' not in run:
            parser.error(f'expected NAME=WORK_DIR, found {run}')
    with one_line_errors(ValueError):
        runs = {name: read_curves(work_dir, args.key)
                for name, work_dir in (run.split('=', 1) for run in args.runs)}
    keys = {key for curves in runs.values() for key in curves}
    write_curves({(name if len(keys) == 1 else f'{name}: {key}'): curve
                  for name, curves in runs.items() for key, curve in curves.items()},
                 Path(args.out), ' '.join(args.key))
    for name, curves in runs.items():
        for key, (steps, values) in curves.items():
            print(f'{name}: {key} {values[0]:.3f} at step {steps[0]}, {values[-1]:.3f} at step '
                  f'{steps[-1]}')
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
