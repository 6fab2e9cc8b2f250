"""Time of mean shift on the points of one labelled scan, beside scikit-learn's, and agreement."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median
from typing import Dict, List

import numpy as np

from nclr_plugin.datasets.errors import DataLayoutError
from nclr_plugin.models.segmentors.mean_shift import mean_shift
from nclr_plugin.utils.optional import optional_import
from .tables import markdown_table

# SemanticKITTI's raw labels: vehicles, people, and both in motion.
THINGS = (10, 11, 13, 15, 16, 18, 20, 30, 31, 32, *range(252, 260))
VEGETATION = 70
NUMBER = 30_000
WAY, NOISE = 0.8, 0.15  # as a network moves points to the middle of their object


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this benchmark's options to a command line."""
    parser.add_argument('scan', type=Path, help='float32 file of x, y, z, intensity (KITTI)')
    parser.add_argument('label', type=Path, help='uint32 file of its labels (SemanticKITTI)')
    parser.add_argument('--bandwidth', type=float, default=1.2, help='metres')
    parser.add_argument('--repeats', type=int, default=3, help='timed rounds')


def point_sets(scan: Path, label: Path) -> Dict[str, np.ndarray]:
    """What is clustered: points (N, 3) by name.

    Raises:
        DataLayoutError: The labels are not as many as the points, or none is of a thing.
    """
    points = np.fromfile(scan, np.float32).reshape(-1, 4)[:, :3].astype(np.float64)
    labels = np.fromfile(label, np.uint32)
    semantic = labels & 0xFFFF
    thing = np.isin(semantic, THINGS)
    if len(labels) != len(points) or not thing.any():
        raise DataLayoutError(
            f"label file '{label}': expected {len(points)} labels, as many as '{scan}' has points, "
            f'some of them of things, found {len(labels)}, {thing.sum()} of them of things')
    rng = np.random.default_rng(0)
    moved = points[thing]
    for one in np.unique(labels[thing]):
        of_object = labels[thing] == one
        centre = (moved[of_object].min(axis=0) + moved[of_object].max(axis=0)) / 2
        moved[of_object] += WAY * (centre - moved[of_object])
    some = np.flatnonzero(thing | (semantic == VEGETATION))
    return {
        'of things, as scanned': points[thing],
        f'of things, moved {WAY:.0%} of the way to the centres, {NOISE} m of noise':
            moved + rng.normal(0, NOISE, moved.shape),
        'of things and vegetation': points[rng.permutation(some)[:NUMBER]],
        'of all classes': points[rng.permutation(len(points))[:NUMBER]],
    }


def run_mean_shift(args: argparse.Namespace) -> List[dict]:
    """Times both implementations on every point set, in turns.

    Returns:
        list[dict]: One per set: name, number, ours, theirs (processor seconds of each round),
            ratio (theirs over ours in the same round), clusters, rand_index (adjusted).
    """
    sklearn = optional_import('sklearn.cluster', 'scikit-learn', 'The comparison')
    from sklearn.metrics import adjusted_rand_score
    rows = []
    for name, points in point_sets(args.scan, args.label).items():
        times: Dict[str, List[float]] = dict(ours=[], theirs=[])
        for _ in range(args.repeats):
            start = time.process_time()
            ours = mean_shift(points, args.bandwidth)
            middle = time.process_time()
            theirs = sklearn.MeanShift(bandwidth=args.bandwidth,
                                       bin_seeding=True).fit_predict(points)
            times['ours'].append(middle - start)
            times['theirs'].append(time.process_time() - middle)
        rows.append(dict(
            name=name, number=len(points), **times, clusters=len(np.unique(ours)),
            ratio=[theirs / ours for ours, theirs in zip(times['ours'], times['theirs'])],
            rand_index=adjusted_rand_score(theirs, ours)))
    return rows


def format_table(rows: List[dict]) -> str:
    """Rows of :func:`run_mean_shift` as a Markdown table; times are medians."""
    return markdown_table([{
        'points': f'{row["number"]:,} {row["name"]}',
        'clusters': row['clusters'],
        'scikit-learn, s': f'{median(row["theirs"]):.2f}',
        'ours, s': f'{median(row["ours"]):.2f}',
        'ratio (min - max)':
            f'{median(row["ratio"]):.1f} ({min(row["ratio"]):.1f} - {max(row["ratio"]):.1f})',
        'adjusted Rand index': f'{row["rand_index"]:.5f}',
    } for row in rows])


def main(args: argparse.Namespace) -> None:
    """Prints the table of :func:`run_mean_shift`."""
    print(format_table(run_mean_shift(args)))
