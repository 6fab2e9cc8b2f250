import math

import torch

from nclr_plugin.demo import pose_problems
from nclr_plugin.demo.pose_problems import make_problems
from nclr_plugin.geometry.camera import in_view, project_points


def test_problems_are_what_they_say():
    for planar in (False, True):
        problems = make_problems(64, 128, noise=0., planar=planar, seed=3)
        pixels, depth = project_points(*problems[:1], problems.lidar2cam, problems.cam2img)
        torch.testing.assert_close(pixels, problems.pixels)
        assert in_view(pixels, depth, pose_problems.HEIGHT, pose_problems.WIDTH).all()
        assert 3.99 < depth.min() < 5 and 48 < depth.max() < 49.01
        heights = problems.points[..., 2]  # the random transform keeps z
        assert (heights.std(dim=1).max() < 1e-9) == planar
        # Unplaced, the LiDAR sits at the camera: |R_r t_r| is the camera's place in the scan.
        centre = -problems.lidar2cam[:, :3, :3].transpose(1, 2) @ problems.lidar2cam[:, :3, 3:]
        assert 15 < centre.norm(dim=(1, 2)).max() < 15 * math.sqrt(2)


def test_problems_are_seeded_and_have_the_noise_and_outliers_asked_for():
    first, again = (make_problems(32, noise=2., outliers=0.25, seed=7) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))
    assert not torch.equal(first.points, make_problems(32, seed=8).points)
    assert (first.inlier.sum(1) == 96).all()
    pixels, _ = project_points(first.points, first.lidar2cam, first.cam2img)
    offset = (first.pixels - pixels)
    assert abs(offset[first.inlier].std().item() - 2) < 0.1
    assert offset[~first.inlier].norm(dim=1).median() > 50
