"""How often a calibration is called reliable where image and scan are of one place, and where not.

The pairs of a test set with its placements, and the same scans with images of other places, through
the function that users call.
"""
from __future__ import annotations

import argparse
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, init_default_scope
from mmengine.utils import ProgressBar

from nclr_plugin.apis.calibration import pose_difference
from nclr_plugin.apis.calibrator import MIN_AGREEMENT, MIN_INLIER_RATIO, Calibrator
from nclr_plugin.apis.errors import CalibrationInputError
from nclr_plugin.engine.hooks.picture_hook import write_png
from nclr_plugin.evaluation.confidence import auroc, rejection
from nclr_plugin.visualization import plot_roc
from .tables import markdown_table

GIVEN = ('LoadScan', 'AccumulateSweeps', 'LoadImages', 'RandomPlacement')  # what a user has
SCORES = 'agreement', 'inlier_ratio'


class Pair(NamedTuple):
    """What was said of one image and scan.

    Attributes:
        true: Whether they are of one place.
        reliable: The verdict.
        agreement, inlier_ratio: The scores that it is made of; -inf without a pose.
        error: RRE (degrees) and RTE (metres); not a number without a pose.
    """
    true: bool
    reliable: bool
    agreement: float
    inlier_ratio: float
    error: Tuple[float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this benchmark's options to a command line."""
    parser.add_argument('config', help='whose test set is used')
    parser.add_argument('checkpoint', nargs='+')
    parser.add_argument('--min-inlier-ratio', type=float, default=MIN_INLIER_RATIO)
    parser.add_argument('--min-agreement', type=float, default=MIN_AGREEMENT)
    parser.add_argument('--no-search', action='store_true')
    parser.add_argument('--roc', type=Path, help='PNG of the ROC of the last checkpoint')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        help='overrides of the config')


def run_reliability(args: argparse.Namespace) -> Dict[str, dict]:
    """Calibrates every pair by every checkpoint.

    Returns:
        dict: By checkpoint: ``pairs``, a list of :class:`Pair`, and ``seconds`` of processor time
            a pair, after loading.

    Raises:
        DataLayoutError: The test set is not there, or has one frame only.
    """
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    settings = deepcopy(cfg.test_dataloader.dataset)
    settings.wrong_image_control = True
    settings.pipeline = [step for step in settings.pipeline if step['type'] in GIVEN]
    for step in settings.pipeline:
        if step['type'] == 'RandomPlacement':
            step['translation'] = (0., 0., 0.)  # a user's scan is about its sensor
    dataset = DATASETS.build(settings)
    found = {}
    for checkpoint in args.checkpoint:
        calibrator = Calibrator(checkpoint, min_inlier_ratio=args.min_inlier_ratio,
                                min_agreement=args.min_agreement,
                                search=not args.no_search)
        pairs: List[Pair] = []
        seconds = 0.
        progress = ProgressBar(len(dataset), file=sys.stderr)
        for number, sample in enumerate(dataset):
            start = time.process_time()
            pairs += _calibrated(calibrator, sample, number < len(dataset) // 2)
            seconds += time.process_time() - start
            progress.update()
        print(file=sys.stderr)
        found[checkpoint] = dict(pairs=pairs, seconds=seconds / len(pairs))
    return found


def _calibrated(calibrator: Calibrator, sample: dict, true: bool) -> List[Pair]:
    nothing = Pair(true, False, -np.inf, -np.inf, (np.nan, np.nan))
    try:
        views = calibrator(list(sample['imgs']), sample['points'], list(sample['cam2img']))
    except CalibrationInputError as error:
        print(f'\nCounted as refused: {error}', file=sys.stderr)
        return [nothing] * len(sample['imgs'])
    return [
        Pair(true, view.reliable, view.agreement, view.inlier_ratio,
             pose_difference(view.lidar2cam, truth)) if view.valid else nothing
        for view, truth in zip(views, sample['lidar2cam'])]


def format_table(found: Dict[str, dict]) -> str:
    """Results of :func:`run_reliability` as a Markdown table."""
    rows = []
    for checkpoint, result in found.items():
        true, wrong = ([pair for pair in result['pairs'] if pair.true is kind]
                       for kind in (True, False))
        accepted = [pair for pair in true if pair.reliable]
        turn, shift = np.median([pair.error for pair in accepted], axis=0) if accepted else (
            np.nan, np.nan)
        rows.append({
            'checkpoint': checkpoint,
            'true pairs accepted': f'{len(accepted)} of {len(true)}',
            'wrong images refused':
                f'{sum(not pair.reliable for pair in wrong)} of {len(wrong)}',
            **{f'AUROC of {score}': f'{auroc(*_scores(result["pairs"], score)):.3f}'
               for score in SCORES},
            'RRE, RTE of the accepted, median': f'{turn:.2f} deg, {shift:.2f} m',
            's a pair': f'{result["seconds"]:.2f}',
        })
    return markdown_table(rows)


def _scores(pairs: List[Pair], score: str) -> Tuple[list, list]:
    return [getattr(pair, score) for pair in pairs], [pair.true for pair in pairs]


def main(args: argparse.Namespace) -> None:
    """Prints the table of :func:`run_reliability`, and draws the ROC."""
    found = run_reliability(args)
    print(format_table(found))
    if args.roc is not None:
        pairs = found[args.checkpoint[-1]]['pairs']
        write_png(args.roc, plot_roc({
            score: rejection(*_scores(pairs, score)) for score in SCORES}))
        print(f'ROC: {args.roc}')
