"""Write info files of labelled scans and of label fractions.

    python tools/create_infos.py semantickitti /data/semantickitti
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.datasets.kitti_infos import DETECTION_FRACTIONS, split_kitti  # noqa: E402
from nclr_plugin.datasets.kitti_preparation import prepare_kitti  # noqa: E402
from nclr_plugin.datasets.segmentation.infos import (  # noqa: E402
    FRACTIONS,
    NUSCENES,
    SPLITS,
    create_infos,
    create_nuscenes_ablation,
    create_nuscenes_fractions,
)
from nclr_plugin.datasets.segmentation.kitti_boxes import (  # noqa: E402
    KITTI_BOXES,
    create_kitti_boxes,
)
from nclr_plugin.errors import one_line_errors  # noqa: E402

KITTI = 'kitti'


def main(argv=None):
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(
        description='Write info files of labelled scans and of fractions of them. For nuScenes, '
        'only the fractions are written: the infos are those of mmdet3d. For kitti, this is '
        "mmdet3d's preparation for detectors, which also works without test frames. For "
        'kitti_boxes, point labels are also written, from the 3D boxes of KITTI object frames.')
    parser.add_argument('dataset', choices=[*SPLITS, NUSCENES, KITTI, KITTI_BOXES])
    parser.add_argument('root', help='folder of the data set; the files are written there')
    parser.add_argument('--fractions', type=float, nargs='+', metavar='PERCENT',
                        help='label fractions (default: those of '
                        f'{" ".join(map(str, FRACTIONS))} that select any frame; kitti: '
                        f'{" ".join(map(str, DETECTION_FRACTIONS))})')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of the random choice (default: 0; nuScenes: not random)')
    parser.add_argument('--split', metavar='FILE',
                        help='use the frames of this file: a label split written by this tool, or '
                        'a percentile list of the SegContrast protocol')
    parser.add_argument('--train', nargs='+', metavar='SEQUENCE',
                        help='training sequences (default: the official ones; not for nuScenes '
                        'and kitti_boxes)')
    parser.add_argument('--val', nargs='+', metavar='SEQUENCE',
                        help='validation sequences (default: the official ones; not for nuScenes '
                        'and kitti_boxes)')
    parser.add_argument('--ablation', action='store_true',
                        help="nuScenes: write the published division of the training set into 600 "
                        'and 100 scenes, and the fractions (default: 1) of the 600')
    args = parser.parse_args(argv)
    if args.ablation and (args.dataset != NUSCENES or args.split):
        parser.error('--ablation is a division of nuscenes, without --split')
    with one_line_errors():
        if args.ablation:
            create_nuscenes_ablation(args.root, args.fractions or (1, ))
        elif args.dataset == KITTI:
            prepare_kitti(args.root)
            split_kitti(args.root, args.fractions or DETECTION_FRACTIONS, args.seed, args.split)
        elif args.dataset == KITTI_BOXES:
            create_kitti_boxes(args.root, args.fractions, args.seed, args.split)
        elif args.dataset == NUSCENES:
            create_nuscenes_fractions(args.root, args.fractions, args.split)
        else:
            create_infos(args.dataset, args.root, args.fractions, args.seed, args.split,
                         args.train, args.val)


if __name__ == '__main__':
    main()
