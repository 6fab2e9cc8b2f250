"""Results of calibrations: the pose of one camera from one pair, and of a rig from several."""
from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np
import torch

from ..errors import CalibrationInputError
from ..geometry.camera import project_points
from ..geometry.se3 import (make_transform, rotation_error_geodesic_deg, skew, so3_exp, so3_log,
                            translation_error)
from ..visualization import compare_poses

MAX_FROM_INITIAL_DEG = 30.  # largest rotation between a pose and an initial guess that it fits
MAX_CONDITION = 1e14  # of the normal equations; above it the points do not fix a pose
OUTLIER_SCALE = 4.  # times the median distance from the most central pose
TOLERANCE = 0.2, 0.05  # degrees and metres within which poses are never outliers
MIN_PAIRS = 3  # fewer pairs say nothing about their spread


class Matches(NamedTuple):
    """Points and the pixels matched to them.

    Attributes:
        points: (K, 3), LiDAR frame as given, metres.
        pixels: (K, 2), pixels of the undistorted image.
        scores: (K,) similarities.
        inliers: (K,) bool, matches that agree with the pose.
    """
    points: np.ndarray
    pixels: np.ndarray
    scores: np.ndarray
    inliers: np.ndarray


class Calibration(NamedTuple):
    """Pose of a camera relative to a LiDAR, with measures of confidence.

    Attributes:
        lidar2cam: (4, 4) float64, ``p_cam = lidar2cam @ p_lidar``, metres; the identity if no pose
            was found.
        valid: Whether a pose was found.
        reliable: Whether the pose should be used: whether ``photometric_consistency`` and
            ``edge_lead`` reach the thresholds of the calibrator, the camera is within 15 m of the
            LiDAR, and the pose fits ``initial``.
        inlier_ratio: Share of the matches that agree with the pose; 0 without a pose. Matches of
            different places can agree, too, so it does not count for ``reliable``.
        photometric_consistency: Agreement of changes in the image with changes in the scan under
            the pose, see :class:`~nclr_plugin.evaluation.PhotometricConsistency`; 0 without a pose.
        edge_lead: Standard deviations by which edges of image and scan agree better under the pose
            than under poses near it, see :func:`~nclr_plugin.apis.verification.lead`; 0 without a
            pose.
        reprojection_error: RMS over the agreeing matches, pixels of the given image; NaN without a
            pose or with hardly any agreeing match.
        covariance: (6, 6), for a small rotation about the camera's axes (radians) and the
            translation (metres). It assumes independent errors of the matches. They are not, so it
            shows which directions are well constrained, but is too small overall. The spread over
            several pairs (:func:`~nclr_plugin.apis.fuse`) gives the realistic size.
        matches: Matches that the pose was solved from.
        cam2img: (3, 3), intrinsics of the image.
        image: (H, W, 3) uint8 RGB, undistorted.
        scan: (N, 4), LiDAR frame as given.
        initial: (4, 4), the initial guess; ``None`` without one.
        refined: Whether the pose is that of the matches, refined by edges.
    """
    lidar2cam: np.ndarray
    valid: bool
    reliable: bool
    inlier_ratio: float
    photometric_consistency: float
    edge_lead: float
    reprojection_error: float
    covariance: np.ndarray
    matches: Matches
    cam2img: np.ndarray
    image: np.ndarray
    scan: np.ndarray
    initial: np.ndarray | None = None
    refined: bool = False

    @property
    def contradicts_initial(self) -> bool:
        """Whether the pose is rotated by more than 30 deg relative to the initial guess."""
        return self.valid and contradicts(self.lidar2cam, self.initial)

    def overlay(self, truth: np.ndarray | None = None) -> np.ndarray:
        """Draw the scan into the image, as the pose projects it.

        Args:
            truth: (4, 4), ground truth to compare with.

        Returns:
            RGB picture, uint8, with further panels for the initial guess and the ground truth
            if they are known.
        """
        poses: dict[str, np.ndarray | None] = {}
        if self.initial is not None:
            poses['initial guess'] = self.initial
        if self.valid:
            verdict = 'calibrated' if self.reliable else 'NOT RELIABLE'
            title = (f'{verdict}: {100 * self.inlier_ratio:.0f}% of {len(self.matches.points)} '
                     f'matches agree, {self.reprojection_error:.1f} px; photometric consistency '
                     f'{self.photometric_consistency:.2f}, lead of edges {self.edge_lead:.1f}')
            if truth is not None:
                rotation, translation = pose_difference(self.lidar2cam, truth)
                title += f'; RRE {rotation:.2f} deg, RTE {translation:.2f} m'
            poses[title] = self.lidar2cam
        else:
            poses['no pose was found'] = None
        if truth is not None:
            poses['ground truth'] = truth
        return compare_poses(self.image, self.scan, self.cam2img, poses)

    def describe(self) -> str:
        """Describe the pose in one line."""
        if not self.valid:
            return 'no pose was found: image and scan may be of different places'
        line = f'{100 * self.inlier_ratio:.0f}% of the matches agree'
        if np.isfinite(self.reprojection_error):
            line += f', to {self.reprojection_error:.1f} px'
        line += (f'; photometric consistency {self.photometric_consistency:.2f}, '
                 f'lead of edges {self.edge_lead:.1f}')
        if self.initial is not None:
            rotation, translation = pose_difference(self.lidar2cam, self.initial)
            line += f', {rotation:.2f} deg and {translation:.2f} m from the initial guess'
        if self.contradicts_initial:
            line += ('; NOT RELIABLE: it contradicts the initial guess by more than '
                     f'{MAX_FROM_INITIAL_DEG:g} deg')
        elif not self.reliable:
            line += ('; NOT RELIABLE: image and scan may be of different places, or unlike the '
                     'training')
        return line


class RigEstimate(NamedTuple):
    """Pose of a rig, fused from several pairs, with their spread.

    Attributes:
        lidar2cam: (4, 4) float64; the identity if no pair is reliable.
        reliable: Whether at least three reliable pairs agree, and more than half of them do.
        rotation_spread_deg: (3,) standard deviation of the pairs' rotations about the camera's x, y
            and z axes.
        translation_spread_m: (3,) standard deviation of the pairs' translations along these axes.
        used: Indices of the agreeing pairs, which the spread is computed from. If their errors are
            independent, the error of the estimate is about the spread divided by the square root of
            their number.
        num_reliable: Number of pairs that are reliable on their own.
        num_pairs: Number of all pairs.
    """
    lidar2cam: np.ndarray
    reliable: bool
    rotation_spread_deg: np.ndarray
    translation_spread_m: np.ndarray
    used: list[int]
    num_reliable: int
    num_pairs: int

    def describe(self, num_unusable: int = 0) -> str:
        """Describe the pose in one line, with the number of pairs that could not be used."""
        line = (f'{self.num_reliable} of {self.num_pairs} pairs are reliable, '
                f'{len(self.used)} agree')
        if num_unusable:
            line += f', {num_unusable} could not be used'
        if len(self.used) > 1:
            rotation, translation = (' / '.join(f'{value:.2f}' for value in spread) for spread in (
                self.rotation_spread_deg, self.translation_spread_m))
            line += (f'; spread {rotation} deg about and {translation} m along the x / y / z axes '
                     'of the camera')
        return line if self.reliable else f'{line}; NOT RELIABLE: too few agree'


def fuse(calibrations: Sequence[Calibration]) -> RigEstimate:
    """Fuse calibrations of one LiDAR and one camera into the mean of the agreeing ones.

    Among the reliable poses, the most central one has the smallest median distance from the others.
    Distances are in rotation and translation, each relative to its median over all pairs of poses.
    Poses farther from the central one than four times that median are left out.

    Args:
        calibrations: Results of several pairs, all of the same camera.

    Raises:
        CalibrationInputError: If there are no calibrations.
    """
    if not calibrations:
        raise CalibrationInputError('expected calibrations to fuse, found none.')
    reliable = [idx for idx, calibration in enumerate(calibrations) if calibration.reliable]
    unknown = np.full(3, np.nan)
    if not reliable:
        return RigEstimate(np.eye(4), False, unknown, unknown, [], 0, len(calibrations))
    poses = [calibrations[idx].lidar2cam for idx in reliable]
    agreeing = _agreeing(poses)
    used = [reliable[idx] for idx in agreeing]
    mean, rotations, translations = _mean([poses[idx] for idx in agreeing])
    several = len(used) > 1
    return RigEstimate(
        lidar2cam=mean,
        reliable=len(used) >= MIN_PAIRS and 2 * len(used) > len(reliable),
        rotation_spread_deg=np.degrees(rotations.std(0, ddof=1)) if several else unknown,
        translation_spread_m=translations.std(0, ddof=1) if several else unknown,
        used=used, num_reliable=len(reliable), num_pairs=len(calibrations))


def consensus_pose(calibrations: Sequence[Calibration]) -> np.ndarray | None:
    """Return the mean (4, 4) of the poses that agree, reliable or not; ``None`` if there are none.

    Poses that contradict the initial guess do not count. See :func:`fuse` for those that agree.
    """
    poses = [calibration.lidar2cam for calibration in calibrations
             if calibration.valid and not calibration.contradicts_initial]
    return _mean([poses[idx] for idx in _agreeing(poses)])[0] if poses else None


def contradicts(lidar2cam: np.ndarray, initial: np.ndarray | None) -> bool:
    """Return whether a pose (4, 4) is rotated by more than 30 deg relative to a guess, if any."""
    return initial is not None and pose_difference(lidar2cam, initial)[0] > MAX_FROM_INITIAL_DEG


def pose_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Return the angle (degrees) and distance (metres) between two poses (4, 4)."""
    first, second = (np.asarray(pose, np.float64) for pose in (first, second))
    return (float(rotation_error_geodesic_deg(first[:3, :3], second[:3, :3])),
            float(translation_error(first, second)))


def pose_covariance(points: np.ndarray, pixels: np.ndarray, lidar2cam: np.ndarray,
                    cam2img: np.ndarray) -> np.ndarray:
    r"""Compute the covariance of the pose of least reprojection error, to first order.

    :math:`\sigma^2 (J^T J)^{-1}`, with J the derivative of the projections with respect to a
    rotation about the camera's axes and a translation, and :math:`\sigma^2` the sum of squared
    residuals over their degrees of freedom.

    Args:
        points: (K, 3), metres; K > 3.
        pixels: (K, 2).
        lidar2cam: (4, 4).
        cam2img: (3, 3).

    Returns:
        (6, 6) float64, radians and metres; infinite on the diagonal if the points fix no pose.
    """
    points, pixels, lidar2cam, cam2img = (
        torch.from_numpy(np.asarray(value, np.float64))
        for value in (points, pixels, lidar2cam, cam2img))
    rotated = points @ lidar2cam[:3, :3].T
    in_camera = rotated + lidar2cam[:3, 3]
    projected, _ = project_points(points, lidar2cam, cam2img)
    # d(u, v) / d(x, y, z), then d(x, y, z) / d(rotation, translation) = [-[R p]_x, I]
    direction = in_camera / in_camera[:, 2:]
    by_point = (cam2img[:2] - (cam2img[:2] @ direction[..., None]) *
                direction.new_tensor([0., 0., 1.])) / in_camera[:, 2, None, None]
    by_pose = torch.cat((-skew(rotated), torch.eye(3).double().expand(len(rotated), 3, 3)), 2)
    jacobian = (by_point @ by_pose).flatten(0, 1)
    residual = (projected - pixels).flatten()
    variance = residual.square().sum() / max(len(residual) - 6, 1)
    information = jacobian.T @ jacobian
    if torch.linalg.cond(information) > MAX_CONDITION:
        return unknown_covariance()
    return (variance * torch.linalg.inv(information)).numpy()


def unknown_covariance() -> np.ndarray:
    """Return a covariance (6, 6) with an infinite diagonal."""
    return np.diag(np.full(6, np.inf))


def _agreeing(poses: list[np.ndarray]) -> list[int]:
    distances = np.array([[pose_difference(a, b) for b in poses] for a in poses])  # (K, K, 2)
    others = ~np.eye(len(poses), dtype=bool)
    scale = np.array(TOLERANCE)
    if others.any():
        scale = np.maximum(scale, np.median(distances[others], axis=0))
    relative = (distances / scale).max(-1)
    centre = np.median(relative, axis=1).argmin()
    return np.flatnonzero(relative[centre] <= OUTLIER_SCALE).tolist()


def _mean(poses: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean pose (4, 4), and the rotations and translations (K, 3) from it to each."""
    stacked = torch.from_numpy(np.stack(poses))
    R = stacked[0, :3, :3]
    for _ in range(10):  # converges in a few steps, since the poses are close
        R = so3_exp(so3_log(stacked[:, :3, :3] @ R.T).mean(0)) @ R
    t = stacked[:, :3, 3].mean(0)
    return (make_transform(R, t).numpy(), so3_log(stacked[:, :3, :3] @ R.T).numpy(),
            (stacked[:, :3, 3] - t).numpy())
