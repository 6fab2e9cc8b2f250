"""Confirm or refine the pose of one image and one scan by two scores that need no network."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..evaluation.photometric_consistency import PhotometricConsistency
from .joint_search import JointScore, Pair, search_jointly
from .results import contradicts, pose_difference
from .verification import at_limit, lead

# Each score alone is high by chance for some wrong pose, hardly ever both. They were set on KITTI
# frames; what_to_expect.md says how.
MIN_CONSISTENCY = 0.28
MIN_EDGE_LEAD = 4.
SEARCH_DEG, SEARCH_M = 4., 1.2  # about and along each axis; most networks' poses are nearer
# Rolls about the optical axis from which a search is repeated: long vertical edges do not fix it.
ROLLS_DEG = -3., 3.
RIVAL_SHARE = 0.9  # of the best score, from which on another pose speaks against it
MAX_DIFFERENCE = 1.5, 0.5  # degrees and metres between the best pose and such another one
MAX_DISTANCE = 15.  # metres; farther away, too little of a scan is in view to judge a pose


class ConfirmedPose(NamedTuple):
    """A pose with the two scores by which it was judged.

    Attributes:
        lidar2cam: (4, 4).
        photometric_consistency: See :class:`~nclr_plugin.evaluation.PhotometricConsistency`.
        edge_lead: See :func:`~nclr_plugin.apis.verification.lead`.
        reliable: Whether both scores confirm the pose.
        refined: Whether it is the best pose near the given one.
    """
    lidar2cam: np.ndarray
    photometric_consistency: float
    edge_lead: float
    reliable: bool
    refined: bool = False


def confirm_pose(pair: Pair,
                 lidar2cam: np.ndarray,
                 initial: np.ndarray | None = None,
                 min_consistency: float = MIN_CONSISTENCY,
                 min_edge_lead: float = MIN_EDGE_LEAD,
                 search: bool = True) -> ConfirmedPose:
    """Return the best pose near a given one if image and scan confirm it, else the given one.

    The search maximises the edges' score alone, up to 4 deg and 1.2 m away along each axis. If
    searches from other rolls lead to other poses that are as good, no pose is reliable.

    Args:
        pair: Checked pair: undistorted image, intensities of 0..1.
        lidar2cam: (4, 4), the pose.
        initial: (4, 4), a guess. A pose rotated by more than 30 deg relative to it is not
            confirmed, and no search starts from it.
        min_consistency: Photometric consistency that a pose needs.
        min_edge_lead: Lead of its edges that a pose needs.
        search: Whether to search for a better pose.
    """
    score = JointScore([pair], lidar2cam, (SEARCH_DEG, SEARCH_M))
    consistency = PhotometricConsistency(pair.image, pair.points, pair.cam2img.cam2img)

    def judge(offset: np.ndarray) -> ConfirmedPose:
        pose = score.pose(offset)
        consistent, edge_lead = consistency.score(pose), float(lead(score, offset)[0])
        reliable = (consistent >= min_consistency and edge_lead >= min_edge_lead
                    and np.linalg.norm(pose[:3, 3]) <= MAX_DISTANCE
                    and not at_limit(score, offset) and not contradicts(pose, initial))
        return ConfirmedPose(pose, consistent, edge_lead, bool(reliable))

    given = judge(np.zeros(6))
    if not search or contradicts(lidar2cam, initial):
        return given
    offset = search_jointly(score, np.zeros(6))
    if not judge(offset).reliable:
        return given
    offset = _search_again(score, offset)
    if offset is None:
        return given._replace(reliable=False)
    refined = judge(offset)._replace(refined=True)
    return refined if refined.reliable else given


def _search_again(score: JointScore, offset: np.ndarray) -> np.ndarray | None:
    """Search from other rolls, too, and return the best offset; ``None`` if others are as good."""
    starts = np.zeros((len(ROLLS_DEG), 6))
    starts[:, 2] = np.radians(ROLLS_DEG)
    offsets = np.stack([offset, *(search_jointly(score, start) for start in offset + starts)])
    values = score.about(offset)(offsets).sum(1)
    best = offsets[values.argmax()]
    for rival in offsets[values >= RIVAL_SHARE * values.max()]:
        rotation, translation = pose_difference(score.pose(rival), score.pose(best))
        if rotation > MAX_DIFFERENCE[0] or translation > MAX_DIFFERENCE[1]:
            return None
    return best
