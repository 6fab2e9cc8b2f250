"""Compare accuracy, gradients and speed of the pose solvers with OpenCV's.

The problems are those of :mod:`nclr_plugin.demo.pose_problems`. The bound is the
maximum-likelihood pose: OpenCV's iterative solver, started at the true pose.
"""
from __future__ import annotations

import argparse
import math
import os
import time
from typing import Callable

import torch
from torch import Tensor

from nclr_plugin.demo.pose_problems import PoseProblems, make_problems
from nclr_plugin.experiments.tables import markdown_table
from nclr_plugin.geometry.pnp import solve_pnp
from nclr_plugin.geometry.ransac import solve_robust
from nclr_plugin.geometry.se3 import (make_transform, rotation_error_geodesic_deg,
                                      translation_error)

OUTLIER_FACTOR = 8  # times as many problems in rows with outliers, whose medians vary more
INLIER_SIGMAS = 4.  # inlier threshold of the robust solver, standard deviations of the noise
ROWS = (  # name, noise in pixels, planar, share of outliers
    ('1 px noise', 1., False, 0.), ('3 px noise', 3., False, 0.),
    ('planar, 1 px', 1., True, 0.), ('planar, 3 px', 3., True, 0.),
    ('1 px, 10% outliers', 1., False, 0.1), ('1 px, 30% outliers', 1., False, 0.3),
    ('3 px, 10% outliers', 3., False, 0.1), ('3 px, 30% outliers', 3., False, 0.3),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this benchmark's options to a command line."""
    parser.add_argument('--problems', type=int, default=256,
                        help='problems per row (default: 256; 8 times as many with outliers)')
    parser.add_argument('--points', type=int, default=128,
                        help='matches per problem (default: 128)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: 0)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed rounds per row (default: 5)')
    parser.add_argument('--threads', type=int, default=os.cpu_count(),
                        help='threads of torch (default: all cores)')


def main(args: argparse.Namespace) -> None:
    """Print the table of :func:`run`."""
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    try:
        print(format_table(run(args.problems, args.points, args.seed, args.repeats)))
    finally:
        torch.set_num_threads(before)


def run(num_problems: int, num_points: int, seed: int, repeats: int) -> list[dict[str, object]]:
    """Solve all problems.

    Rows with outliers compare ``solve_robust`` with solvers that get the inliers only, and with the
    bound of the same problems before a share s of their matches was replaced. That bound is out of
    reach: fewer matches raise the error by a factor of about ``1 / sqrt(1 - s)``. The limit is this
    factor on these problems: the bound of the inliers over the bound of all matches. The time of a
    row covers all its problems, forward and backward (robust: forward only).

    Args:
        num_problems: Number of problems per row, times ``OUTLIER_FACTOR`` with outliers.
        num_points: Number of matches per problem.
        seed: Random seed of the problems.
        repeats: Number of timed rounds; the median is returned.

    Returns:
        One dictionary per row: problem, ours, epnp, sqpnp, bound, outlier_free (median degrees,
        metres), valid, gradient (largest entry), milliseconds, opencv_milliseconds, time_ratio
        (median over rounds).
    """
    rows = []
    for name, noise, planar, outliers in ROWS:
        if outliers:
            problems, clean = (
                make_problems(OUTLIER_FACTOR * num_problems, num_points, noise, planar, share, seed)
                for share in (outliers, 0.))
            row = _outlier_row(problems, clean, noise)
        else:
            problems = make_problems(num_problems, num_points, noise, planar, outliers, seed)
            row = _outlier_free_row(problems, repeats)
        rows.append(dict(problem=name, **row))
    return rows


def solve_opencv(problems: PoseProblems, method: str) -> Tensor:
    """Solve problems with OpenCV, using the inliers only.

    Args:
        problems: B problems.
        method: ``'epnp'``, ``'sqpnp'``, or ``'bound'`` for the iterative solver, started at the
            true pose.

    Returns:
        (B, 4, 4) poses.
    """
    import cv2
    flags = {'epnp': cv2.SOLVEPNP_EPNP, 'sqpnp': cv2.SOLVEPNP_SQPNP,
             'bound': cv2.SOLVEPNP_ITERATIVE}[method]
    poses = []
    for points, pixels, cam2img, truth, inlier in zip(*(value.numpy() for value in problems)):
        guess = {}
        if method == 'bound':
            guess = dict(rvec=cv2.Rodrigues(truth[:3, :3])[0], tvec=truth[:3, 3:].copy(),
                         useExtrinsicGuess=True)
        _, rvec, tvec = cv2.solvePnP(points[inlier], pixels[inlier], cam2img, None, flags=flags,
                                     **guess)
        poses.append(make_transform(torch.from_numpy(cv2.Rodrigues(rvec)[0]),
                                    torch.from_numpy(tvec[:, 0])))
    return torch.stack(poses)


def _median_errors(pred: Tensor, problems: PoseProblems) -> tuple[float, float]:
    truth = problems.lidar2cam
    rotation = rotation_error_geodesic_deg(pred[:, :3, :3], truth[:, :3, :3])
    return rotation.median().item(), translation_error(pred, truth).median().item()


def _opencv_epnp_loop(problems: PoseProblems) -> Callable[[], None]:
    """Return a function that only runs OpenCV's EPnP, for timing."""
    import cv2
    arrays = list(zip(problems.points.numpy(), problems.pixels.numpy(), problems.cam2img.numpy()))

    def run() -> None:
        for points, pixels, cam2img in arrays:
            cv2.solvePnP(points, pixels, cam2img, None, flags=cv2.SOLVEPNP_EPNP)

    return run


def _outlier_free_row(problems: PoseProblems, repeats: int) -> dict[str, object]:
    inputs = [value.clone().requires_grad_() for value in problems[:3]]
    inputs.append(torch.ones_like(problems.points[..., 0]).requires_grad_())
    run_opencv = _opencv_epnp_loop(problems)
    times, opencv_times = [], []
    for _ in range(repeats + 1):  # the first round warms up
        started = time.perf_counter()
        solution = solve_pnp(*inputs)
        gradients = torch.autograd.grad(solution.R.sum() + solution.t.sum(), inputs)
        solved = time.perf_counter()
        run_opencv()
        opencv_times.append(time.perf_counter() - solved)
        times.append(solved - started)
    ours = make_transform(solution.R.detach(), solution.t.detach())
    largest = max(gradient.abs().max().item() for gradient in gradients)
    return dict(
        ours=_median_errors(ours, problems), valid=int(solution.valid.sum()),
        epnp=_median_errors(solve_opencv(problems, 'epnp'), problems),
        sqpnp=_median_errors(solve_opencv(problems, 'sqpnp'), problems),
        bound=_median_errors(solve_opencv(problems, 'bound'), problems),
        gradient=largest if all(g.isfinite().all() for g in gradients) else math.inf,
        milliseconds=1e3 * torch.tensor(times[1:]).median().item(),
        opencv_milliseconds=1e3 * torch.tensor(opencv_times[1:]).median().item(),
        time_ratio=torch.tensor(
            [ours / theirs for ours, theirs in zip(times[1:], opencv_times[1:])]).median().item())


def _outlier_row(problems: PoseProblems, clean: PoseProblems, noise: float) -> dict[str, object]:
    started = time.perf_counter()
    solutions = [solve_robust(*problem, threshold=INLIER_SIGMAS * noise)
                 for problem in zip(*problems[:3])]
    elapsed = time.perf_counter() - started
    ours = torch.stack([make_transform(pose.R, pose.t) for pose in solutions])
    return dict(
        ours=_median_errors(ours, problems), valid=sum(pose.success for pose in solutions),
        epnp=_median_errors(solve_opencv(problems, 'epnp'), problems),
        sqpnp=_median_errors(solve_opencv(problems, 'sqpnp'), problems),
        bound=_median_errors(solve_opencv(problems, 'bound'), problems),
        outlier_free=_median_errors(solve_opencv(clean, 'bound'), clean),
        gradient=None, milliseconds=1e3 * elapsed, opencv_milliseconds=None, time_ratio=None)


def format_table(rows: list[dict[str, object]]) -> str:
    """Format the rows of :func:`run` as a Markdown table; errors are median deg / m."""

    def pair(values: tuple[float, float]) -> str:
        return ' / '.join(f'{value:.3f}' for value in values)

    def number(value: float | None) -> str:
        return '-' if value is None else f'{value:.3g}'

    return markdown_table([{
        'problem': row['problem'],
        'ours': pair(row['ours']),
        'bound': pair(row['bound']),
        'ours / bound': pair([a / b for a, b in zip(row['ours'], row['bound'])]),
        'ours / outlier-free bound': pair(
            [a / b for a, b in zip(row['ours'], row.get('outlier_free', row['bound']))]),
        'its limit': pair(
            [a / b for a, b in zip(row['bound'], row.get('outlier_free', row['bound']))]),
        'cv2 EPnP': pair(row['epnp']),
        'cv2 SQPNP': pair(row['sqpnp']),
        'largest gradient': number(row['gradient']),
        'ours, ms': f'{row["milliseconds"]:.0f}',
        'cv2 EPnP forward, ms': number(row['opencv_milliseconds']),
        'time ratio': number(row['time_ratio']),
    } for row in rows])
