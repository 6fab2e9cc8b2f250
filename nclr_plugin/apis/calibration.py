"""What is known of the pose of one camera after calibration."""
from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np
import torch

from nclr_plugin.geometry.camera import project_points
from nclr_plugin.geometry.se3 import rotation_error_geodesic_deg, skew, translation_error

from ..visualization import compare_poses

MAX_FROM_INITIAL_DEG = 30.  # between a pose and a guess that it does not contradict


class Matches(NamedTuple):
    """Points and the pixels that were matched to them.

    Attributes:
        points: (K, 3), LiDAR frame as given, metres.
        pixels: (K, 2), of the image as given (without its distortion).
        scores: (K,) similarities.
        inliers: (K,) bool, matches that agree with the pose.
    """
    points: np.ndarray
    pixels: np.ndarray
    scores: np.ndarray
    inliers: np.ndarray


class Calibration(NamedTuple):
    """The pose of a camera against a LiDAR, and how far it can be relied on.

    Attributes:
        lidar2cam: (4, 4) float64, ``p_cam = lidar2cam @ p_lidar``, metres; the identity without a
            pose.
        valid: Whether a pose was found at all.
        reliable: Whether it is to be used: a pose was found, and neither ``inlier_ratio`` nor
            ``agreement`` is below the least one of the calibrator; or it was searched, and
            ``agreement`` is not below a little more. Those of an image and a scan of different
            places are not, nor that of a camera more than 15 m from the LiDAR, nor one that
            contradicts ``initial``.
        inlier_ratio: Share of the matches that agree with the pose; 0 without one. It tells wrong
            matches, not a wrong image: a network's matches of different places can agree, too.
        agreement: How well the image changes where the scan does under the pose, see
            :func:`~nclr_plugin.evaluation.appearance_agreement`; 0 without one.
        reprojection_error: RMS over the agreeing matches, pixels of the image as given; not a
            number without a pose, or where hardly any match agrees.
        covariance: (6, 6) of a small turn about the camera's axes (radians) and of the translation
            (metres), as if the errors of the matches were independent. They are not: it tells
            which directions are fixed well and which badly, and is too small as a whole. The
            spread over several pairs (:func:`~nclr_plugin.apis.fuse`) is the honest size.
        matches: What the pose was solved from.
        cam2img: (3, 3) of the image.
        image: (H, W, 3) uint8 RGB, without its distortion.
        scan: (N, 4), LiDAR frame as given.
        initial: (4, 4), the guess that was given; ``None`` without.
        searched: Whether the pose is not that of the matches but one near it, of which the
            appearance speaks.
    """
    lidar2cam: np.ndarray
    valid: bool
    reliable: bool
    inlier_ratio: float
    agreement: float
    reprojection_error: float
    covariance: np.ndarray
    matches: Matches
    cam2img: np.ndarray
    image: np.ndarray
    scan: np.ndarray
    initial: Optional[np.ndarray] = None
    searched: bool = False

    @property
    def contradicts_initial(self) -> bool:
        """Whether the pose is turned by more than 30 deg against the initial guess."""
        return self.valid and contradicts(self.lidar2cam, self.initial)

    def overlay(self, truth: Optional[np.ndarray] = None) -> np.ndarray:
        """Draw the scan into the image by the pose that was found.

        Args:
            truth: (4, 4) to compare with.

        Returns:
            RGB picture, uint8, with panels for the initial guess and the truth where they are
            known.
        """
        poses = {} if self.initial is None else {'initial guess': self.initial}
        if self.valid:
            kind = 'calibrated' if self.reliable else 'NOT RELIABLE'
            title = (f'{kind}: {100 * self.inlier_ratio:.0f}% of {len(self.matches.points)} '
                     f'matches agree, {self.reprojection_error:.1f} px; appearance '
                     f'{self.agreement:.2f}')
            if truth is not None:
                turn, shift = pose_difference(self.lidar2cam, truth)
                title += f'; RRE {turn:.2f} deg, RTE {shift:.2f} m'
            poses[title] = self.lidar2cam
        else:
            poses['no pose was found'] = None
        if truth is not None:
            poses['ground truth'] = truth
        return compare_poses(
            self.image, torch.from_numpy(self.scan), torch.from_numpy(self.cam2img),
            {title: None if pose is None else torch.from_numpy(np.asarray(pose, np.float64))
             for title, pose in poses.items()})


def contradicts(lidar2cam: np.ndarray, initial: Optional[np.ndarray]) -> bool:
    """Tell whether a pose (4, 4) is turned by more than 30 deg against a guess, if there is one."""
    return initial is not None and pose_difference(lidar2cam, initial)[0] > MAX_FROM_INITIAL_DEG


def pose_difference(first: np.ndarray, second: np.ndarray) -> tuple:
    """Angle (degrees) and distance (metres) between two poses (4, 4)."""
    first, second = (torch.from_numpy(np.asarray(pose, np.float64)) for pose in (first, second))
    return (float(rotation_error_geodesic_deg(first[:3, :3], second[:3, :3])),
            float(translation_error(first, second)))


def pose_covariance(points: np.ndarray, pixels: np.ndarray, lidar2cam: np.ndarray,
                    cam2img: np.ndarray) -> np.ndarray:
    r"""Covariance of the pose of least reprojection error, to first order.

    :math:`\sigma^2 (J^T J)^{-1}`, with J the derivative of the projections in a turn about the
    camera's axes and a shift, and :math:`\sigma^2` the mean square of the residuals over their
    degrees of freedom.

    Args:
        points: (K, 3), metres; K > 3.
        pixels: (K, 2).
        lidar2cam: (4, 4).
        cam2img: (3, 3).

    Returns:
        (6, 6) float64, radians and metres; infinite on the diagonal where the points fix no pose.
    """
    points, pixels, lidar2cam, cam2img = (
        torch.from_numpy(np.asarray(value, np.float64))
        for value in (points, pixels, lidar2cam, cam2img))
    in_camera = points @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]
    projected, _ = project_points(points, lidar2cam, cam2img)
    # d(u, v) / d(x, y, z), then d(x, y, z) / d(turn, shift) = [-[R p]_x, I]
    direction = in_camera / in_camera[:, 2:]
    by_point = (cam2img[:2] - (cam2img[:2] @ direction[..., None]) *
                direction.new_tensor([0., 0., 1.])) / in_camera[:, 2, None, None]
    turned = points @ lidar2cam[:3, :3].T
    by_pose = torch.cat((-skew(turned), torch.eye(3).double().expand(len(turned), 3, 3)), 2)
    jacobian = (by_point @ by_pose).flatten(0, 1)
    residual = (projected - pixels).flatten()
    variance = residual.square().sum() / max(len(residual) - 6, 1)
    information = jacobian.T @ jacobian
    if torch.linalg.cond(information) > 1e14:
        return np.diag(np.full(6, np.inf))
    return (variance * torch.linalg.inv(information)).numpy()
