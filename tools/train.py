"""Train with mmdet3d's own tools/train.py.

    python tools/train.py CONFIG [--help]

For fine-tuning, ``--checkpoint FILE`` loads pretrained weights and ``--fraction PERCENT`` uses
a part of the labels. All other flags are those of mmdet3d.
"""
import argparse
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.engine.launcher import train  # noqa: E402


def main(argv=None):
    """Parse the flags added here; mmdet3d's script parses the others."""
    # mmdet3d's help comes first, with its usage and --help.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    flags = parser.add_argument_group('flags added by nclr_plugin')
    flags.add_argument('--fraction', type=float, metavar='PERCENT',
                       help='fine-tune on this percentage of the labels')
    flags.add_argument('--checkpoint', metavar='FILE',
                       help='start from the pretrained weights in FILE')
    options, rest = parser.parse_known_args(argv)
    train(rest, **vars(options), more_help=parser.format_help())


if __name__ == '__main__':
    main()
