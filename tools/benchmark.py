"""Run a benchmark and print its table in Markdown.

    python tools/benchmark.py {pnp,robust,step,data,syncs,backbones,meanshift,reliability} [--help]
"""
import argparse
import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
sys.path[:0] = [str(TOOLS.parent), str(TOOLS)]

from benchmarks import backbones, mean_shift, pnp, reliability, robust, step, syncs  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402


def main(argv=None):
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(
        description='Run a benchmark and print its table in Markdown.')
    commands = parser.add_subparsers(dest='command', required=True)

    def add_command(name, description, add_arguments, run):
        command = commands.add_parser(name, help=description, description=f'{description}.')
        add_arguments(command)
        command.set_defaults(run=run)
        return command

    add_command('pnp', 'Accuracy, gradients and speed of the pose solvers', pnp.add_arguments,
                pnp.main)
    add_command('robust', 'Error and time of the robust pose solvers, by the share of outliers',
                robust.add_arguments, robust.main)
    add_command('step', 'Time of a pretraining step, compared with its two backbones',
                step.add_step_arguments, step.main_step)
    add_command('data', 'Time that a pretraining step waits for its batch',
                step.add_data_arguments, step.main_data)
    add_command('syncs', 'Operations of a pretraining step for which a host waits for its GPU',
                syncs.add_arguments, syncs.main)
    add_command('backbones', 'Size, time and memory of the point backbones',
                backbones.add_arguments, backbones.main)
    add_command('meanshift', "Speed of mean shift, compared with scikit-learn's",
                mean_shift.add_arguments, mean_shift.main)
    add_command('reliability', 'True pairs accepted and mismatched pairs refused by the calibrator',
                reliability.add_arguments, reliability.main)

    args = parser.parse_args(argv)
    with one_line_errors():
        args.run(args)


if __name__ == '__main__':
    main()
