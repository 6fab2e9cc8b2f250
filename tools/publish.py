"""Prepare the weights of a training for publication, with a model card.

    python tools/publish.py CHECKPOINT --out DIR --figures RESULTS.json

The default data and terms are those of configs/nclr/nclr_minkunet_kitti_real.py.
"""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nclr_plugin.checkpoints.export import publish  # noqa: E402
from nclr_plugin.errors import one_line_errors  # noqa: E402

DATA = ('Some 240 real frames of KITTI (3D object, stereo 2015, odometry), without their labels. '
        'Frames of other drives were held back for evaluation.')
TERMS = ('KITTI is CC BY-NC-SA 3.0 (Geiger et al. 2012, Menze and Geiger 2015): the weights are '
         'for non-commercial use, under the same terms; cite these papers. The image encoder is '
         'EfficientNet-Lite0 with ImageNet weights (Apache-2.0).')


def main(argv=None):
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(
        description='Write the weights of a training without its optimizer, and a model card.')
    parser.add_argument('checkpoint', help='checkpoint of tools/train.py')
    parser.add_argument('--out', required=True, help='folder for weights.pth and README.md')
    parser.add_argument('--figures', help='JSON file of names and numbers, as tools/test.py '
                        'writes it')
    parser.add_argument('--name', default='NCLR on real KITTI frames', help='title of the card')
    parser.add_argument('--data', default=DATA, help='training data, for the card')
    parser.add_argument('--license', default='cc-by-nc-sa-3.0',
                        help='SPDX identifier of the licence (default: %(default)s)')
    parser.add_argument('--terms', default=TERMS, help='terms of use')
    parser.add_argument('--max-megabytes', type=float, default=30.,
                        help='largest size of the weights (default: 30)')
    args = parser.parse_args(argv)
    with one_line_errors():
        path = publish(args.checkpoint, args.out, args.name, args.data, args.license, args.terms,
                       args.figures, args.max_megabytes)
    print(f'written: {path} and its model card')


if __name__ == '__main__':
    main()
