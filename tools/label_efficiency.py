"""Fine-tune on fractions of the labels, from scratch and from pretrained weights.

    python tools/label_efficiency.py CONFIG --checkpoint FILE --out DIR

Writes ``runs.csv``, ``results.csv``, ``.md`` and ``.png``.
"""
import argparse
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
TOOLS = Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS.parent))

from nclr_plugin.experiments.execution import FORMS, RunError  # noqa: E402
from nclr_plugin.experiments.label_efficiency import (parse_checkpoints,  # noqa: E402
                                                      plan_label_runs, print_jobs,
                                                      run_label_efficiency)


def main(argv=None, tools=TOOLS):
    """Parse the command line and execute or list the runs of the scripts in ``tools``."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    try:
        runs = plan_label_runs(args.config, parse_checkpoints(args.checkpoint), args.fractions,
                               args.seeds, args.out, args.cfg_options)
        if args.form:
            print_jobs(runs, tools, args.form, args.gpus)
        else:
            run_label_efficiency(runs, args.out, tools, args.metrics, args.best, args.jobs, argv)
    except RunError as error:
        sys.exit(str(error))
    except (OSError, KeyError, ValueError, ImportError) as error:
        sys.exit(f'{type(error).__name__}: {error}')


def parse_args(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Fine-tune a config from scratch and from pretrained weights, on several '
        'fractions of the labels and with several seeds; evaluate the last checkpoint of each run. '
        'Repeating the command skips finished runs and resumes interrupted ones.')
    parser.add_argument('config', metavar='CONFIG', help='fine-tuning config')
    parser.add_argument('--out', required=True,
                        help='folder of the runs, and of runs.csv, results.csv, .md and .png')
    parser.add_argument('--checkpoint', nargs='+', default=[], metavar='[NAME=]FILE',
                        help='pretrained weights, a line of the plot each')
    parser.add_argument('--fractions', nargs='+', type=float, default=[1, 10, 100],
                        metavar='PERCENT', help='label fractions (default: 1 10 100)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2],
                        help='seeds of initialisation and order; the labels of a fraction are the '
                        'same for all seeds (default: 0 1 2)')
    parser.add_argument('--jobs', type=int, default=1, help='number of runs at a time (default: 1)')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
                        help='overrides of the config')
    parser.add_argument('--metrics', nargs='+', default=[], metavar='NAME',
                        help='metrics that tools/test.py writes, or shell patterns (default: '
                        'those of miou, pq, KITTI moderate AP, mAP and NDS that exist)')
    parser.add_argument('--best', action='store_true', help='show the best run beside the mean')
    parser.add_argument('--list', choices=FORMS, dest='form',
                        help='run nothing, but print a line for each unfinished run, to be '
                        'executed elsewhere; then repeat the command without --list')
    parser.add_argument('--gpus', type=int, default=1,
                        help='number of GPUs of a listed torchrun or slurm run, each with the '
                        'batch size of the config (default: 1)')
    return parser.parse_args(argv)


if __name__ == '__main__':
    main()
