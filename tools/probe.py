"""Probe frozen point features of pretraining by linear and nearest-neighbour classification.

    python tools/probe.py CONFIG CHECKPOINT --dataset kitti_boxes --data-root DIR

Without CHECKPOINT, it probes the initialisation of CONFIG.
"""
import argparse
import json
import os
import sys
from pathlib import Path

# OpenMP threads of several busy processes slow each other down many times over.
os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402
from mmengine.logging import MMLogger  # noqa: E402

from nclr_plugin.errors import one_line_errors  # noqa: E402
from nclr_plugin.evaluation.probe import LABEL_MAPS, Probe, build_pretrainer  # noqa: E402


def main(argv=None):
    """Parse the command line, and print and write the results of each seed."""
    args = parse_args(argv)
    MMLogger.get_instance('probe', log_level='WARNING')  # mmengine lists every initial tensor
    with one_line_errors():
        probe = Probe(
            args.data_root, args.dataset, args.train or f'{args.dataset}_infos_train.pkl',
            args.val or f'{args.dataset}_infos_val.pkl', num_scans=args.scans,
            voxel_value=args.voxel_value)
        rows = []
        for seed in args.seeds:
            model = build_pretrainer(args.config, args.checkpoint, seed, args.cfg_options)
            probe.seed = seed
            rows.append(dict(seed=seed, **probe(model)))
            print(', '.join(f'{name} {value:.2f}' if isinstance(value, float) else
                            f'{name} {value}' for name, value in rows[-1].items()), flush=True)
        if args.out:
            Path(args.out).write_text(json.dumps(dict(vars(args), rows=rows), indent=1) + '\n')


def parse_args(argv):
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Classify voxels by frozen point features: a logistic regression and nearest '
        'neighbours. Print mean IoU and mean recall, percent.')
    parser.add_argument('config', metavar='CONFIG', help='pretraining config')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', nargs='?',
                        help='its checkpoint (default: the initialisation of the config)')
    parser.add_argument('--dataset', choices=list(LABEL_MAPS), required=True,
                        help='data set of the labelled scans')
    parser.add_argument('--data-root', required=True, help='folder of the info files')
    parser.add_argument('--train', help='info file of the training scans (default: '
                        'DATASET_infos_train.pkl)')
    parser.add_argument('--val', help='info file of the scans to classify (default: '
                        'DATASET_infos_val.pkl)')
    parser.add_argument('--scans', type=int,
                        help='largest number of training scans, and of scans to classify '
                        '(default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0],
                        help='seeds of the choice of voxels and of the initialisation (default: 0)')
    parser.add_argument('--voxel-value', choices=['mean', 'first'], default='mean',
                        help="value of a voxel: the mean of its points, as in pretraining, or its "
                        "first point's, as in mmdet3d's segmentors")
    parser.add_argument('--out', help='JSON file for the figures')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='overrides of the config')
    return parser.parse_args(argv)


if __name__ == '__main__':
    main()
