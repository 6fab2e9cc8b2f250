"""Poses from matches: differentiable EPnP in training, RANSAC at test time (section 3.5)."""
from __future__ import annotations

from typing import Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from ...geometry.pnp import PnPSolution, solve_pnp
from ...geometry.ransac import LO_RANSAC, RobustPose, solve_robust
from ...geometry.se3 import make_transform
from ..losses.pose_loss import pose_loss


@MODELS.register_module()
class PoseHead(BaseModule):
    """Solve for poses from matches.

    Args:
        num_points: Matches used in training, per view.
        min_points: Fewer valid matches than this give no pose (and no gradient).
        max_reprojection_error: Largest RMS reprojection error, pixels, of a view that has a pose
            loss. Matches that fit no pose give a random one, whose gradient is no guidance and
            hundreds of times larger than that of the other losses.
        solver: Test-time method of :func:`~nclr_plugin.geometry.ransac.solve_robust`.
        inlier_threshold: Pixels of the input image.
        max_iterations: Largest number of RANSAC iterations.
    """

    def __init__(self,
                 num_points: int = 128,
                 min_points: int = 8,
                 max_reprojection_error: float = 16.,
                 solver: str = LO_RANSAC,
                 inlier_threshold: float = 4.0,
                 max_iterations: int = 10000,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.num_points = num_points
        self.min_points = min_points
        self.max_reprojection_error = max_reprojection_error
        self.solver = solver
        self.inlier_threshold = inlier_threshold
        self.max_iterations = max_iterations

    def loss(self, points: Tensor, pixels: Tensor, valid: Tensor, cam2img: Tensor,
             lidar2cam: Tensor) -> Tensor:
        """Compute Eq. 6-7 over the views that have a pose.

        Args:
            points: (V, K, 3), metres, LiDAR frame.
            pixels: (V, K, 2), their soft matches.
            valid: (V, K) bool, matches to use.
            cam2img: (V, 3, 3).
            lidar2cam: (V, 4, 4), ground truth.
        """
        return pose_loss(self.solve(points, pixels, valid, cam2img), lidar2cam)

    def solve(self, points: Tensor, pixels: Tensor, valid: Tensor,
              cam2img: Tensor) -> PnPSolution:
        """Solve by the differentiable layer; only views with enough matches that agree are valid.

        The arguments are those of :meth:`loss`.
        """
        enough = valid.sum(1) >= self.min_points
        solution = solve_pnp(points, pixels, cam2img, (valid & enough[:, None]).double())
        return solution._replace(
            valid=solution.valid & (solution.reprojection_error <= self.max_reprojection_error))

    @torch.no_grad()
    def predict(self, points: Tensor, pixels: Tensor, cam2img: Tensor) -> RobustPose | None:
        """Solve for the pose of one view from its K matches.

        All matches are used: the most similar ones cluster on a few objects and constrain the pose
        less.

        Args:
            points: (K, 3).
            pixels: (K, 2).
            cam2img: (3, 3).

        Returns:
            The pose; ``None`` if there are fewer than ``min_points`` matches.
        """
        if len(points) < self.min_points:
            return None
        return solve_robust(points, pixels, cam2img, method=self.solver,
                            threshold=self.inlier_threshold, iterations=self.max_iterations)

    @staticmethod
    def fields(poses: Sequence[RobustPose | None]) -> dict[str, Tensor]:
        """Return the poses of V views as fields of a data sample.

        Returns:
            ``pred_lidar2cam`` (V, 4, 4) float64, the identity without a pose; ``pred_valid`` (V,)
            bool; ``pred_inlier_ratio`` (V,); ``pred_reprojection_error`` (V,) in pixels.
        """
        solved = [pose is not None and pose.success for pose in poses]
        return dict(
            pred_lidar2cam=torch.stack([
                make_transform(pose.R, pose.t).double().cpu() if ok else
                torch.eye(4, dtype=torch.float64) for pose, ok in zip(poses, solved)]),
            pred_valid=torch.tensor(solved),
            pred_inlier_ratio=torch.tensor([
                float(pose.inliers.float().mean()) if ok else 0.
                for pose, ok in zip(poses, solved)]),
            pred_reprojection_error=torch.tensor([
                float(pose.reprojection_error) if ok else float('nan')
                for pose, ok in zip(poses, solved)]))
