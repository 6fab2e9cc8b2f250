"""Measure error and time of the robust pose solvers by the share of outliers, on one thread."""
from __future__ import annotations

import argparse
import time
from statistics import mean, median
from typing import Sequence

import torch

from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.geometry.ransac import LO_RANSAC, METHODS, solve_robust
from nclr_plugin.geometry.se3 import rotation_error_geodesic_deg

INLIER_SIGMAS = 4.  # inlier threshold, standard deviations of the noise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('--problems', type=int, default=10, help='problems per row (default: 10)')
    parser.add_argument('--matches', type=int, default=2048,
                        help='matches per problem (default: 2048)')
    parser.add_argument('--noise', type=float, default=1.,
                        help='standard deviation of right pixels (default: 1)')
    parser.add_argument('--outliers', type=float, nargs='+',
                        default=[0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85],
                        help='shares of wrong matches (default: 0.1 ... 0.85)')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=['ransac_p3p', LO_RANSAC],
                        help='solvers; the first one is what the others are compared with')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: 0)')


def main(args: argparse.Namespace) -> None:
    """Print the table of :func:`run`."""
    import cv2
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        print(markdown_table(run(args.problems, args.matches, args.noise, args.outliers,
                                 args.methods, args.seed)))
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def run(num_problems: int, matches: int, noise: float, outliers: Sequence[float],
        methods: Sequence[str], seed: int) -> list[dict[str, str]]:
    """Solve each problem by all methods in turn, so that a busy machine slows them alike.

    Returns:
        One row per share of outliers: poses found (within 1 deg and 0.5 m), median errors, mean
        seconds, and their ratio to those of the first method.
    """
    rows = []
    for share in outliers:
        problems = make_problems(num_problems, matches, noise, False, share, seed)
        results: dict[str, list] = {method: [] for method in methods}
        for points, pixels, cam2img, truth, _ in zip(*problems):
            for method in methods:
                started = time.perf_counter()
                pose = solve_robust(points, pixels, cam2img, method=method,
                                    threshold=INLIER_SIGMAS * noise)
                seconds = time.perf_counter() - started
                results[method].append((
                    rotation_error_geodesic_deg(pose.R, truth[:3, :3]).item(),
                    (pose.t - truth[:3, 3]).norm().item(), seconds))
        row = {'outliers': f'{100 * share:.0f}%'}
        first = mean(result[2] for result in results[methods[0]])
        for method, values in results.items():
            angles, shifts, seconds = zip(*values)
            found = sum(angle < 1 and shift < 0.5 for angle, shift, _ in values)
            row[f'{method}: found'] = f'{found}/{num_problems}'
            row[f'{method}: deg / m'] = f'{median(angles):.3f} / {median(shifts):.3f}'
            row[f'{method}: s'] = f'{mean(seconds):.3f}'
            if method != methods[0]:
                row[f'{method}: time ratio'] = f'{mean(seconds) / first:.2f}'
        rows.append(row)
    return rows
