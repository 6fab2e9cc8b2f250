"""Export the point backbone of a checkpoint as a plain file, for use without this plugin.

    python tools/export_backbone.py CHECKPOINT --to mmdet3d --out backbone.pth
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.checkpoints import export_backbone  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402


def main(argv=None):
    """Parse the command line, write the file and print a report."""
    parser = argparse.ArgumentParser(
        description='Export the point backbone of a checkpoint as a plain file for mmdet3d or '
        'OpenPCDet.')
    parser.add_argument('checkpoint', help='checkpoint of NCLR, mmdet3d, OpenPCDet or a published '
                        'code')
    parser.add_argument('--to', choices=['mmdet3d', 'openpcdet'], required=True,
                        help='mmdet3d: for load_from; openpcdet: for --pretrained_model')
    parser.add_argument('--out', required=True, help='file to write')
    parser.add_argument('--min-match', type=float, default=1.0,
                        help='share of the backbone\'s tensors that must be found (default: 1)')
    args = parser.parse_args(argv)
    with one_line_errors(ValueError):
        report = export_backbone(args.checkpoint, args.to, args.out, args.min_match)
    print(report.summary())
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
