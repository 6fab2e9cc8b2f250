"""Compare mean shift with scikit-learn's on a labelled scan: speed and agreement."""
from __future__ import annotations

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from nclr_plugin.errors import DataLayoutError
from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.models.segmentors.grouping import mean_shift
from nclr_plugin.utils.optional import optional_import

# Raw SemanticKITTI labels of vehicles and people, moving ones included.
THINGS = (10, 11, 13, 15, 16, 18, 20, 30, 31, 32, *range(252, 260))
VEGETATION = 70
MAX_POINTS = 30_000  # of the sets that contain more than things
# The second set imitates a network that moves points to the centre of their object.
SHIFT, NOISE = 0.8, 0.15  # share of the way, metres


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('scan', type=Path, help='scan in KITTI format: float32 x, y, z, intensity')
    parser.add_argument('label', type=Path, help='its labels in SemanticKITTI format: uint32')
    parser.add_argument('--bandwidth', type=float, default=1.2,
                        help='bandwidth in metres (default: 1.2)')
    parser.add_argument('--repeats', type=int, default=3, help='timed rounds (default: 3)')


def point_sets(scan: Path, label: Path) -> dict[str, np.ndarray]:
    """Return the point sets to cluster: (N, 3) arrays by name.

    Raises:
        DataLayoutError: If there are not as many labels as points, or no labels of things.
    """
    points = np.fromfile(scan, np.float32).reshape(-1, 4)[:, :3].astype(np.float64)
    labels = np.fromfile(label, np.uint32)
    semantic = labels & 0xFFFF
    thing = np.isin(semantic, THINGS)
    if len(labels) != len(points) or not thing.any():
        raise DataLayoutError(
            f"label file '{label}': expected {len(points)} labels, as many as '{scan}' has points, "
            f'some of them of things; found {len(labels)} labels, {thing.sum()} of things')
    rng = np.random.default_rng(0)
    moved = points[thing]
    for instance in np.unique(labels[thing]):
        mask = labels[thing] == instance
        centre = (moved[mask].min(axis=0) + moved[mask].max(axis=0)) / 2
        moved[mask] += SHIFT * (centre - moved[mask])
    candidates = np.flatnonzero(thing | (semantic == VEGETATION))
    return {
        'of things, as scanned': points[thing],
        f'of things, moved {SHIFT:.0%} of the way to the centres, {NOISE} m of noise':
            moved + rng.normal(0, NOISE, moved.shape),
        'of things and vegetation': points[rng.permutation(candidates)[:MAX_POINTS]],
        'of all classes': points[rng.permutation(len(points))[:MAX_POINTS]],
    }


def run_mean_shift(args: argparse.Namespace) -> list[dict]:
    """Time both implementations on every point set, in turn.

    Returns:
        One dictionary per set: name, number, ours, theirs (processor seconds of each round),
        ratio (theirs over ours in the same round), clusters, rand_index (adjusted).
    """
    sklearn = optional_import('sklearn.cluster', 'scikit-learn', 'The comparison')
    from sklearn.metrics import adjusted_rand_score
    rows = []
    for name, points in point_sets(args.scan, args.label).items():
        times: dict[str, list[float]] = dict(ours=[], theirs=[])
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


def format_table(rows: list[dict]) -> str:
    """Format the rows of :func:`run_mean_shift` as a Markdown table; times are medians."""
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
    """Print the table of :func:`run_mean_shift`."""
    print(format_table(run_mean_shift(args)))
