"""Test with mmdet3d's own tools/test.py.

    python tools/test.py CONFIG CHECKPOINT [--help]

The checkpoint ``none`` tests the random initialisation. ``--show-dir DIR`` writes pictures.
``--submission DIR`` writes the files for a benchmark server: segmentation, or KITTI boxes.
"""
import argparse
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.engine.launcher import test  # noqa: E402


def main(argv=None):
    """Parse the flags added here; mmdet3d's script parses the others."""
    # mmdet3d's help comes first, with its usage and --help.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    flags = parser.add_argument_group(
        'flags added by nclr_plugin', 'The checkpoint "none" is the random initialisation.')
    flags.add_argument('--show-dir', metavar='DIR',
                       help='write pictures to DIR, in a folder per kind; replaces the flag of '
                       'mmdet3d')
    flags.add_argument('--mismatched-image-control', action='store_true',
                       help='also test every scan with the images of another scene')
    flags.add_argument('--submission', metavar='DIR',
                       help='write predictions for the hidden test set to DIR, in the format of '
                       'its benchmark')
    options, rest = parser.parse_known_args(argv)
    test(rest, **vars(options), more_help=parser.format_help())


if __name__ == '__main__':
    main()
