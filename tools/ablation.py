"""Compare configs over seeds.

    python tools/ablation.py CONFIG... --seeds 0 1 2 --out DIR

Trains and evaluates each config with each seed; writes ``results.csv``, ``.md`` and ``.png``.
"""
import argparse
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent))

from nclr_plugin.experiments.ablation import run_ablation  # noqa: E402
from nclr_plugin.experiments.execution import RunError  # noqa: E402


def main(argv=None, tools=TOOLS):
    """Parse the command line and run the ablation with the scripts in ``tools``."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        description='Train and evaluate configs with several seeds, and write a table and a '
        'picture. Repeating the command skips finished runs and resumes interrupted ones.')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help='config, a row of the table')
    parser.add_argument('--out', required=True,
                        help='folder of the runs, and of results.csv, .md and .png')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0],
                        help='seeds of data, initialisation and order (default: 0)')
    parser.add_argument('--jobs', type=int, default=1, help='number of runs at a time (default: 1)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='overrides of all configs')
    parser.add_argument('--test-set', nargs='+', action='append', default=[], dest='test_sets',
                        metavar=('NAME', 'KEY=VALUE'),
                        help='further test set: its name, and overrides of the configs; may be '
                        'repeated')
    parser.add_argument('--checkpoint',
                        help='evaluate this file under each config instead of training; none: the '
                        'random initialisation')
    args = parser.parse_args(argv)
    try:
        run_ablation(args.configs, args.seeds, args.out, tools, args.cfg_options, args.test_sets,
                     args.checkpoint, args.jobs, argv)
    except RunError as error:
        sys.exit(str(error))
    except (OSError, ValueError, ImportError) as error:
        sys.exit(f'{type(error).__name__}: {error}')


if __name__ == '__main__':
    main()
