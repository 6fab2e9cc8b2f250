"""The differentiable EPnP layer in training, a robust solver at test time (paper, section 3.5)."""
from __future__ import annotations

from typing import Tuple

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

from nclr_plugin.geometry.pnp import PnPSolution, RobustPose, solve_epnp, solve_robust
from ..losses.pose_loss import pose_loss


@MODELS.register_module()
class PoseHead(BaseModule):
    """Poses from matches.

    Args:
        num_points: Matches used in training, per view.
        min_points: Fewer valid matches than this give no pose (and no gradient).
        max_reprojection_error: A view whose matches disagree by more with their own best pose,
            pixels (RMS), has no pose loss: where that pose lies says nothing of how to improve
            them, and its gradient, hundreds of times that of the other losses, would drown
            those.
        solver: Test-time method of :func:`~nclr_plugin.geometry.pnp.solve_robust`.
        num_candidates: Matches handed to it: the most similar ones. Too few of them lie together
            on one well-recognised object and do not fix a pose.
        threshold: Inlier threshold, pixels of the input image.
        iterations: Largest number of RANSAC iterations.
    """

    def __init__(self,
                 num_points: int = 128,
                 min_points: int = 8,
                 max_reprojection_error: float = 16.,
                 solver: str = 'ransac_p3p',
                 num_candidates: int = 2000,
                 threshold: float = 4.0,
                 iterations: int = 10000,
                 init_cfg: dict = None) -> None:
        super().__init__(init_cfg)
        self.num_points = num_points
        self.min_points = min_points
        self.max_reprojection_error = max_reprojection_error
        self.solver = solver
        self.num_candidates = num_candidates
        self.threshold = threshold
        self.iterations = iterations

    def loss(self, points: Tensor, pixels: Tensor, valid: Tensor, cam2img: Tensor,
             lidar2cam: Tensor) -> Tuple[Tensor, PnPSolution]:
        """Eq. 6-7 over the views that have a pose.

        Args:
            points: (V, K, 3), metres, LiDAR frame.
            pixels: (V, K, 2), their soft matches.
            valid: (V, K) bool, matches to use.
            cam2img: (V, 3, 3).
            lidar2cam: (V, 4, 4), ground truth.

        Returns:
            tuple: the scalar loss and the solution.
        """
        solution = self.solve(points, pixels, valid, cam2img)
        return pose_loss(solution, lidar2cam), solution

    def solve(self, points: Tensor, pixels: Tensor, valid: Tensor,
              cam2img: Tensor) -> PnPSolution:
        """The differentiable layer; only views with enough matches that agree are valid.

        Args:
            points, pixels, valid, cam2img: As of :meth:`loss`.
        """
        enough = valid.sum(1) >= self.min_points
        solution = solve_epnp(points, pixels, cam2img, weights=(valid & enough[:, None]).double())
        return solution._replace(
            valid=solution.valid & (solution.reprojection_error <= self.max_reprojection_error))

    @torch.no_grad()
    def predict(self, points: Tensor, pixels: Tensor, similarity: Tensor,
                cam2img: Tensor) -> RobustPose:
        """The pose of one view from its (K,) matches, the most similar ones first.

        Args:
            points: (K, 3).
            pixels: (K, 2).
            similarity: (K,).
            cam2img: (3, 3).
        """
        best = similarity.topk(min(self.num_candidates, len(similarity))).indices
        return solve_robust(points[best], pixels[best], cam2img, method=self.solver,
                            threshold=self.threshold, iterations=self.iterations)
