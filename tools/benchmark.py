"""Benchmarks behind the tables of the documentation.

python tools/benchmark.py {pnp,step,data,backbones,meanshift,reliability}
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.benchmarks import backbones, mean_shift, pnp, reliability, step  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402


def main():
    """Parse the command line and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)

    command = commands.add_parser('pnp', help='pose solvers: accuracy, gradients, time')
    pnp.add_arguments(command)
    command.set_defaults(main=pnp.main)

    command = commands.add_parser('step', help='a training step over its two backbones')
    step.add_arguments(command)
    command.set_defaults(main=step.main_step)

    command = commands.add_parser('data', help='how long a step waits for its batch')
    step.add_arguments(command)
    command.add_argument('--workers', type=int, default=2)
    command.set_defaults(main=step.main_data)

    command = commands.add_parser('backbones', help='point backbones: size, time, memory')
    backbones.add_arguments(command)
    command.set_defaults(main=backbones.main)

    command = commands.add_parser('meanshift', help="clustering: time, beside scikit-learn's")
    mean_shift.add_arguments(command)
    command.set_defaults(main=mean_shift.main)

    command = commands.add_parser(
        'reliability', help='calibrations: true pairs accepted, wrong images refused')
    reliability.add_arguments(command)
    command.set_defaults(main=reliability.main)

    args = parser.parse_args()
    with one_line_errors():
        args.main(args)


if __name__ == '__main__':
    main()
