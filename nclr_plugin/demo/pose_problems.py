"""Synthetic pose problems with known solutions.

In each problem, a KITTI camera of 512 x 160 pixels observes LiDAR points at depths of 4 to 49 m.
The scan is rotated by a random yaw and shifted by up to 15 m along x and y.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..geometry.camera import project_points, resize_intrinsics
from ..geometry.se3 import (invert_transform, make_transform, transform_points,
                            yaw_rotation)

WIDTH, HEIGHT = 512, 160
MIN_DEPTH, MAX_DEPTH = 4., 49.


class PoseProblems(NamedTuple):
    """Pose problems with known solutions, float64.

    Attributes:
        points: (B, N, 3) points in the frame of the moved LiDAR.
        pixels: (B, N, 2) observed pixels, with noise and outliers.
        cam2img: (B, 3, 3) intrinsics.
        lidar2cam: (B, 4, 4) true poses.
        inlier: (B, N) bool, False for outliers.
    """
    points: Tensor
    pixels: Tensor
    cam2img: Tensor
    lidar2cam: Tensor
    inlier: Tensor


def make_problems(num_problems: int = 256, num_points: int = 128, noise: float = 1.,
                  planar: bool = False, outliers: float = 0., seed: int = 0) -> PoseProblems:
    """Generate pose problems; equal arguments give equal problems.

    Args:
        num_problems: Number of problems B.
        num_points: Number of points N of each problem.
        noise: Standard deviation of the noise in each pixel coordinate.
        planar: Place all points on a flat road, which enters the image 4 m ahead.
        outliers: Share of points that get a random pixel.
        seed: Random seed.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    B, N = num_problems, num_points
    kitti = torch.tensor([[721.5, 0., 609.6], [0., 721.5, 172.9], [0., 0., 1.]]).double()
    cam2img = resize_intrinsics(kitti, WIDTH / 1242, HEIGHT / 375).expand(B, 3, 3).contiguous()
    (fx, _, cx), (_, fy, cy), _ = cam2img[0].tolist()
    u, depth = uniform(-0.5, WIDTH - 0.5, B, N), uniform(MIN_DEPTH, MAX_DEPTH, B, N)
    v = uniform(-0.5, HEIGHT - 0.5, B, N)
    if planar:
        v = cy + (HEIGHT - 0.5 - cy) * MIN_DEPTH / depth
    in_camera = torch.stack([(u - cx) / fx * depth, (v - cy) / fy * depth, depth], dim=-1)

    axes = torch.tensor([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]]).double()
    raw = make_transform(axes, torch.zeros(3).double()).expand(B, 4, 4)
    t_r = torch.cat([uniform(-15., 15., B, 2), torch.zeros(B, 1).double()], dim=1)
    rotation = yaw_rotation(uniform(-math.pi, math.pi, B))
    rigid_transform = make_transform(rotation, (rotation @ t_r[..., None])[..., 0])
    lidar2cam = raw @ invert_transform(rigid_transform)
    points = transform_points(invert_transform(lidar2cam), in_camera)

    pixels, _ = project_points(points, lidar2cam, cam2img)
    pixels = pixels + noise * torch.randn(B, N, 2, generator=generator, dtype=torch.float64)
    anywhere = torch.stack([uniform(-0.5, WIDTH - 0.5, B, N),
                            uniform(-0.5, HEIGHT - 0.5, B, N)], dim=-1)
    rank = torch.rand(B, N, generator=generator).argsort(dim=1)
    inlier = rank >= round(outliers * N)
    pixels = torch.where(inlier[..., None], pixels, anywhere)
    return PoseProblems(points, pixels, cam2img, lidar2cam, inlier)
