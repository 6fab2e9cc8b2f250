"""Metrics, and the functions of errors and scores that they use.

- ``calibration_metric``, ``registration_metric``: errors of poses (``pose_errors``), the latter by
  the protocols of published tables.
- ``matching_metrics``, ``mismatch_metric``, ``confidence``: matches, and scores of a pose.
- ``photometric_consistency``, ``edge_alignment``, ``scan_edges``: scores that need no network.
- ``probe``: what frozen point features tell of classes.
- ``panoptic_metric``, ``submission``, ``kitti_submission``: fine-tuned networks.
"""
from mmengine.registry import METRICS

from ..utils.optional import register_lazily
from .calibration_metric import CalibrationMetric, recall_curve
from .confidence import auroc, rejection
from .matching_metrics import AlignmentMetric, MatchingMetric, OverlapMetric
from .mismatch_metric import MismatchMetric
from .photometric_consistency import PhotometricConsistency
from .registration_metric import PROTOCOLS, Protocol, RegistrationMetric
from .submission import NuScenesSubmission, SemanticKittiPanopticSubmission, SemanticKittiSubmission

__all__ = [
    'AlignmentMetric', 'CalibrationMetric', 'KittiSubmission', 'MatchingMetric',
    'MismatchMetric', 'NuScenesSubmission', 'OverlapMetric', 'PROTOCOLS', 'PanopticMetric',
    'PhotometricConsistency', 'Protocol', 'RegistrationMetric',
    'SemanticKittiPanopticSubmission', 'SemanticKittiSubmission', 'auroc', 'recall_curve',
    'rejection'
]

PanopticMetric = register_lazily(
    METRICS, 'PanopticMetric', f'{__name__}.panoptic_metric', ('mmdet3d.evaluation', 'mmdet3d'))
KittiSubmission = register_lazily(
    METRICS, 'KittiSubmission', f'{__name__}.kitti_submission', ('mmdet3d.evaluation', 'mmdet3d'))
