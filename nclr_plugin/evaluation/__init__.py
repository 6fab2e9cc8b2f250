"""Metrics, and the functions of errors and scores that they are made of."""
from mmengine.registry import METRICS

from nclr_plugin.registry import register_lazily
from .alignment_metric import AlignmentMetric
from .appearance import appearance_agreement
from .calibration_metric import CalibrationMetric
from .confidence import auroc, rejection
from .matching_metric import MatchingMetric
from .mismatch_metric import MismatchMetric
from .overlap_metric import OverlapMetric
from .panoptic_submission import SemanticKittiPanopticSubmission
from .protocols import PROTOCOLS, Protocol
from .recall import recall_curve
from .registration_metric import RegistrationMetric
from .submission import NuScenesSubmission, SemanticKittiSubmission

__all__ = [
    'AlignmentMetric', 'CalibrationMetric', 'MatchingMetric', 'MismatchMetric',
    'NuScenesSubmission', 'OverlapMetric', 'PROTOCOLS', 'PanopticMetric', 'Protocol',
    'RegistrationMetric', 'SemanticKittiPanopticSubmission', 'SemanticKittiSubmission',
    'appearance_agreement', 'auroc', 'recall_curve', 'rejection'
]

PanopticMetric = register_lazily(
    METRICS, 'PanopticMetric', f'{__name__}.panoptic_metric', ('mmdet3d.evaluation', 'mmdet3d'))
