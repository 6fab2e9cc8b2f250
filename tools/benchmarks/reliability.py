"""Measure how often calibrations are called reliable, for matching and for mismatched pairs.

The calibrator gets the scans of a test set with their own images, and the same scans with images of
other scenes.
"""
from __future__ import annotations

import argparse
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.config import Config, DictAction
from mmengine.registry import DATASETS, init_default_scope
from mmengine.utils import ProgressBar

from nclr_plugin.apis import Calibrator
from nclr_plugin.apis.pose_confirmation import MIN_CONSISTENCY, MIN_EDGE_LEAD
from nclr_plugin.apis.results import pose_difference
from nclr_plugin.errors import CalibrationInputError
from nclr_plugin.evaluation.confidence import auroc, rejection
from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.visualization import plot_roc
from nclr_plugin.visualization.canvas import write_png

# Steps of the test pipeline that provide what a user has.
GIVEN = ('LoadPoints', 'AccumulateSweeps', 'LoadImages', 'RandomRigidTransform')
SCORES = 'photometric_consistency', 'edge_lead', 'inlier_ratio'


class Pair(NamedTuple):
    """Verdict on one image and scan.

    Attributes:
        true: Whether image and scan show the same scene.
        reliable: Whether the calibrator calls the pose reliable.
        photometric_consistency: Score of the pose; -inf without one.
        edge_lead: Lead of its edges over poses nearby; -inf without a pose.
        inlier_ratio: Share of matches that support the pose; -inf without a pose.
        error: RRE in degrees and RTE in metres; NaN without a pose.
    """
    true: bool
    reliable: bool
    photometric_consistency: float
    edge_lead: float
    inlier_ratio: float
    error: tuple[float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('config', help='config with the test set')
    parser.add_argument('checkpoint', nargs='+', help='a row of the table each')
    parser.add_argument('--min-consistency', type=float, default=MIN_CONSISTENCY,
                        help='threshold of the verdict (default: %(default)s)')
    parser.add_argument('--min-edge-lead', type=float, default=MIN_EDGE_LEAD,
                        help='threshold of the verdict (default: %(default)s)')
    parser.add_argument('--no-search', action='store_true',
                        help='do not refine the poses of the matches')
    parser.add_argument('--no-intensity', action='store_true',
                        help='give the scans without their intensities')
    parser.add_argument('--roc', type=Path,
                        help='PNG file for the ROC curve of the last checkpoint')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={},
                        metavar='KEY=VALUE',
                        help='overrides of the config')


def run_reliability(args: argparse.Namespace) -> dict[str, dict]:
    """Calibrate every pair with every checkpoint.

    Returns:
        For each checkpoint, ``pairs``, a list of :class:`Pair`, and ``seconds``, the processor
        time per pair without loading.

    Raises:
        DataLayoutError: If the test set is missing or has only one frame.
    """
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    settings = deepcopy(cfg.test_dataloader.dataset)
    settings.mismatched_image_control = True
    settings.pipeline = [step for step in settings.pipeline if step['type'] in GIVEN]
    for step in settings.pipeline:
        if step['type'] == 'RandomRigidTransform':
            step['translation'] = (0., 0., 0.)  # a user's scan is centred on its sensor
    dataset = DATASETS.build(settings)
    results = {}
    for checkpoint in args.checkpoint:
        calibrator = Calibrator(checkpoint, min_consistency=args.min_consistency,
                                min_edge_lead=args.min_edge_lead,
                                search=not args.no_search,
                                intensity_scale=1.)  # scaled when it was loaded
        pairs: list[Pair] = []
        seconds = 0.
        progress = ProgressBar(len(dataset), file=sys.stderr)
        for number, sample in enumerate(dataset):
            if args.no_intensity:
                sample['points'] = sample['points'][:, :3]
            start = time.process_time()
            pairs += _calibrate(calibrator, sample, number < len(dataset) // 2)
            seconds += time.process_time() - start
            progress.update()
        print(file=sys.stderr)
        results[checkpoint] = dict(pairs=pairs, seconds=seconds / len(pairs))
    return results


def _calibrate(calibrator: Calibrator, sample: dict, true: bool) -> list[Pair]:
    refused = Pair(true, False, -np.inf, -np.inf, -np.inf, (np.nan, np.nan))
    try:
        views = calibrator(list(sample['imgs']), sample['points'], list(sample['cam2img']))
    except CalibrationInputError as error:
        print(f'\nCounted as refused: {error}', file=sys.stderr)
        return [refused] * len(sample['imgs'])
    return [
        Pair(true, view.reliable, view.photometric_consistency, view.edge_lead,
             view.inlier_ratio, pose_difference(view.lidar2cam, truth)) if view.valid else refused
        for view, truth in zip(views, sample['lidar2cam'])]


def format_table(results: dict[str, dict]) -> str:
    """Format the results of :func:`run_reliability` as a Markdown table."""
    rows = []
    for checkpoint, result in results.items():
        true, wrong = ([pair for pair in result['pairs'] if pair.true is kind]
                       for kind in (True, False))
        accepted = [pair for pair in true if pair.reliable]
        errors = np.array([pair.error for pair in accepted] or [(np.nan, np.nan)])
        rows.append({
            'checkpoint': checkpoint,
            'true pairs accepted': f'{len(accepted)} of {len(true)}',
            'mismatched images refused':
                f'{sum(not pair.reliable for pair in wrong)} of {len(wrong)}',
            **{'AUROC of ' + score.replace('_', ' '):
               f'{auroc(*_scores(result["pairs"], score)):.3f}' for score in SCORES},
            'RRE, RTE of the accepted, median': _error(np.median(errors, axis=0)),
            'largest': _error(errors.max(0)),
            's a pair': f'{result["seconds"]:.2f}',
        })
    return markdown_table(rows)


def _error(error: np.ndarray) -> str:
    return '{:.2f} deg, {:.2f} m'.format(*error)


def _scores(pairs: list[Pair], score: str) -> tuple[list, list]:
    return [getattr(pair, score) for pair in pairs], [pair.true for pair in pairs]


def main(args: argparse.Namespace) -> None:
    """Print the table of :func:`run_reliability` and draw the ROC curve."""
    results = run_reliability(args)
    print(format_table(results))
    if args.roc is not None:
        pairs = results[args.checkpoint[-1]]['pairs']
        write_png(args.roc, plot_roc({
            score: rejection(*_scores(pairs, score)) for score in SCORES}))
        print(f'ROC: {args.roc}')
