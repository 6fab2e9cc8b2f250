"""Accuracy, gradients and speed of the pose solvers, beside OpenCV's, on synthetic problems.

A problem is a KITTI camera at 512 x 160 pixels that sees points 4 to 49 m away, of a scan placed
anew with any yaw and up to 15 m off; planar problems see only a flat road. The bound is the
maximum-likelihood pose: OpenCV's iterative solver started at the true one.
"""
from __future__ import annotations

import argparse
import math
import os
import time
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from nclr_plugin.geometry.camera import project_points, resize_intrinsics
from nclr_plugin.geometry.pnp import solve_epnp, solve_robust
from nclr_plugin.geometry.se3 import (apply_placement, invert_transform, make_transform,
                                      rotation_error_geodesic_deg, transform_points,
                                      translation_error, yaw_rotation)
from .tables import markdown_table

WIDTH, HEIGHT = 512, 160
NEAREST, FARTHEST = 4., 49.
OUTLIER_FACTOR = 8
_INLIER_THRESHOLD = 4.  # in standard deviations of the noise


class SyntheticProblems(NamedTuple):
    """Pose problems of known answer, float64.

    Attributes:
        points: (B, N, 3), LiDAR frame after placement.
        pixels: (B, N, 2), with noise and outliers.
        cam2img: (B, 3, 3).
        lidar2cam: (B, 4, 4), the true poses.
        inlier: (B, N) bool, pixels that are not outliers.
    """
    points: Tensor
    pixels: Tensor
    cam2img: Tensor
    lidar2cam: Tensor
    inlier: Tensor


def make_problems(num_problems: int = 256,
                  num_points: int = 128,
                  noise: float = 1.,
                  planar: bool = False,
                  outliers: float = 0.,
                  seed: int = 0) -> SyntheticProblems:
    """Draws problems; the same arguments give the same ones.

    Args:
        num_problems: B.
        num_points: N.
        noise: Standard deviation of both pixel coordinates.
        planar: Points on the road, which the image's lowest row sees 4 m away.
        outliers: Share of matches whose pixel is drawn anew from the whole image.
        seed: Of the draws.

    Returns:
        SyntheticProblems: The problems.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    B, N = num_problems, num_points
    kitti = torch.tensor([[721.5, 0., 609.6], [0., 721.5, 172.9], [0., 0., 1.]]).double()
    cam2img = resize_intrinsics(kitti, WIDTH / 1242, HEIGHT / 375).expand(B, 3, 3).contiguous()
    (fx, _, cx), (_, fy, cy), _ = cam2img[0].tolist()
    u, depth = uniform(-0.5, WIDTH - 0.5, B, N), uniform(NEAREST, FARTHEST, B, N)
    v = uniform(-0.5, HEIGHT - 0.5, B, N)
    if planar:
        v = cy + (HEIGHT - 0.5 - cy) * NEAREST / depth
    in_camera = torch.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], dim=-1)

    axes = torch.tensor([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]]).double()
    raw = make_transform(axes, torch.zeros(3).double()).expand(B, 4, 4)
    t_r = torch.cat([uniform(-15., 15., B, 2), torch.zeros(B, 1).double()], dim=1)
    points, lidar2cam = apply_placement(
        transform_points(invert_transform(raw), in_camera), raw,
        yaw_rotation(uniform(-math.pi, math.pi, B)), t_r)

    pixels, _ = project_points(points, lidar2cam, cam2img)
    pixels = pixels + noise * torch.randn(B, N, 2, generator=generator, dtype=torch.float64)
    anywhere = torch.stack([uniform(-0.5, WIDTH - 0.5, B, N), uniform(-0.5, HEIGHT - 0.5, B, N)],
                           dim=-1)
    rank = torch.rand(B, N, generator=generator).argsort(dim=1)
    inlier = rank >= round(outliers * N)
    pixels = torch.where(inlier[..., None], pixels, anywhere)
    return SyntheticProblems(points, pixels, cam2img, lidar2cam, inlier)


def solve_opencv(problems: SyntheticProblems, method: str) -> Tensor:
    """OpenCV's poses, problem by problem, of the matches that are inliers.

    Args:
        problems: B problems.
        method: 'epnp', 'sqpnp', or 'bound' for the iterative solver from the true pose.

    Returns:
        Tensor: (B, 4, 4).
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


def _median_errors(pred: Tensor, problems: SyntheticProblems) -> Tuple[float, float]:
    truth = problems.lidar2cam
    rotation = rotation_error_geodesic_deg(pred[:, :3, :3], truth[:, :3, :3])
    return rotation.median().item(), translation_error(pred, truth).median().item()


def _opencv_epnp_loop(problems: SyntheticProblems) -> Callable[[], None]:
    """A bare loop over OpenCV's EPnP: nothing but the solver is timed."""
    import cv2
    arrays = list(zip(problems.points.numpy(), problems.pixels.numpy(), problems.cam2img.numpy()))

    def run() -> None:
        for points, pixels, cam2img in arrays:
            cv2.solvePnP(points, pixels, cam2img, None, flags=cv2.SOLVEPNP_EPNP)

    return run


def _outlier_free_row(problems: SyntheticProblems, repeats: int) -> Dict[str, object]:
    inputs = [value.clone().requires_grad_() for value in problems[:3]]
    inputs.append(torch.ones_like(problems.points[..., 0]).requires_grad_())
    peer = _opencv_epnp_loop(problems)
    times, peer_times = [], []
    for _ in range(repeats + 1):  # the first round warms up
        started = time.perf_counter()
        solution = solve_epnp(*inputs)
        gradients = torch.autograd.grad(solution.R.sum() + solution.t.sum(), inputs)
        solved = time.perf_counter()
        peer()
        peer_times.append(time.perf_counter() - solved)
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
        opencv_milliseconds=1e3 * torch.tensor(peer_times[1:]).median().item(),
        time_ratio=torch.tensor([a / b for a, b in zip(times[1:], peer_times[1:])]).median().item())


def _outlier_row(problems: SyntheticProblems, unspoiled: SyntheticProblems,
                 noise: float) -> Dict[str, object]:
    started = time.perf_counter()
    found = [solve_robust(*problem, threshold=_INLIER_THRESHOLD * noise)
             for problem in zip(*problems[:3])]
    elapsed = time.perf_counter() - started
    ours = torch.stack([make_transform(pose.R, pose.t) for pose in found])
    return dict(
        ours=_median_errors(ours, problems), valid=sum(pose.success for pose in found),
        epnp=_median_errors(solve_opencv(problems, 'epnp'), problems),
        sqpnp=_median_errors(solve_opencv(problems, 'sqpnp'), problems),
        bound=_median_errors(solve_opencv(problems, 'bound'), problems),
        outlier_free=_median_errors(solve_opencv(unspoiled, 'bound'), unspoiled),
        gradient=None, milliseconds=1e3 * elapsed, opencv_milliseconds=None, time_ratio=None)


def run_pnp_benchmark(num_problems: int = 256,
                      num_points: int = 128,
                      seed: int = 0,
                      repeats: int = 5) -> List[Dict[str, object]]:
    """Runs every problem and prints a Markdown table.

    Rows with outliers compare with solvers that see the inliers only: ``solve_robust`` has to
    find them; and with the bound of the same problems before a share s of their matches was
    spoiled, which nobody reaches: fewer matches cost a factor of about ``1 / sqrt(1 - s)``. What
    they cost on these very problems, the bound of the inliers over that of all matches, is the
    limit beside it. A row's time is that of all problems, forward and backward (robust: forward).

    Args:
        num_problems: Problems per row; ``OUTLIER_FACTOR`` times as many in rows with outliers,
            whose median is to be known to a few per cent.
        num_points: Matches per problem.
        seed: Of the problems.
        repeats: Timed rounds, of which the median counts.

    Returns:
        list[dict]: One per row: problem, ours, epnp, sqpnp, bound, outlier_free (median
            degrees, metres), valid, gradient (largest entry), milliseconds,
            opencv_milliseconds, time_ratio (median over rounds).
    """
    rows = []
    for name, noise, planar, outliers in (
            ('1 px noise', 1., False, 0.), ('3 px noise', 3., False, 0.),
            ('planar, 1 px', 1., True, 0.), ('planar, 3 px', 3., True, 0.),
            ('1 px, 10% outliers', 1., False, 0.1), ('1 px, 30% outliers', 1., False, 0.3),
            ('3 px, 10% outliers', 3., False, 0.1), ('3 px, 30% outliers', 3., False, 0.3)):
        if outliers:
            problems, unspoiled = (
                make_problems(OUTLIER_FACTOR * num_problems, num_points, noise, planar, share, seed)
                for share in (outliers, 0.))
            row = _outlier_row(problems, unspoiled, noise)
        else:
            problems = make_problems(num_problems, num_points, noise, planar, outliers, seed)
            row = _outlier_free_row(problems, repeats)
        rows.append(dict(problem=name, **row))
    print(format_table(rows))
    return rows


def format_table(rows: List[Dict[str, object]]) -> str:
    """The rows as a Markdown table: errors are median deg / m.

    Args:
        rows: As :func:`run_pnp_benchmark` returns them.

    Returns:
        str: The table.
    """

    def pair(values: Tuple[float, float]) -> str:
        return ' / '.join(f'{value:.3f}' for value in values)

    def number(value: Optional[float]) -> str:
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this benchmark's options to a command line.

    Args:
        parser: To add to.
    """
    parser.add_argument('--problems', type=int, default=256, help='problems per row')
    parser.add_argument('--points', type=int, default=128, help='matches per problem')
    parser.add_argument('--seed', type=int, default=0, help='of the problems')
    parser.add_argument('--repeats', type=int, default=5, help='timed rounds per row')
    parser.add_argument('--threads', type=int, default=os.cpu_count(),
                        help='threads that torch uses (all cores)')


def main(args: argparse.Namespace) -> List[Dict[str, object]]:
    """Runs the benchmark with the options of :func:`add_arguments`.

    Args:
        args: Parsed options.

    Returns:
        list[dict]: The rows of :func:`run_pnp_benchmark`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    try:
        return run_pnp_benchmark(args.problems, args.points, args.seed, args.repeats)
    finally:
        torch.set_num_threads(before)
