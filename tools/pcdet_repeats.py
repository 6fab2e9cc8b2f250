"""Train a detector in OpenPCDet several times and report the best (paper, section 4.3).

    python tools/pcdet_repeats.py --out work_dirs/table2/nclr --extra_tag nclr \\
        --cfg_file configs/pcdet/second_kitti.yaml --pretrained_model CHECKPOINT
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.experiments.detection_ap import precision_table  # noqa: E402
from nclr_plugin.experiments.execution import RunError  # noqa: E402
from nclr_plugin.experiments.detection_ap import run_repeats  # noqa: E402


def main(argv=None):
    """Parse the command line, run the unfinished repeats and print the table."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        description="Run OpenPCDet's train.py several times and print the APs of the best run. "
        'Repeating the command resumes after an interruption. All other flags are passed to '
        'train.py.')
    parser.add_argument('--out', required=True, type=Path, help='folder of logs and results')
    parser.add_argument('--repeats', type=int, default=3, help='number of trainings (default: 3)')
    parser.add_argument('--extra_tag', default='repeat',
                        help="prefix of the runs' extra_tag in OpenPCDet's output folder")
    args, flags = parser.parse_known_args(argv)
    if '--fix_random_seed' in flags:
        parser.error('--fix_random_seed makes all repeats the same')
    with one_line_errors(ValueError, RunError):
        results = run_repeats(flags, args.repeats, args.extra_tag, args.out)
    methods = {f'repeat {number}': [result] for number, result in enumerate(results, 1)}
    print(precision_table({**methods, 'best': results}))


if __name__ == '__main__':
    main()
