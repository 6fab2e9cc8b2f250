"""Metrics, and the functions of errors and scores that they are made of."""
from mmengine.registry import METRICS

from nclr_plugin.utils.optional import optional_import
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
    'NuScenesSubmission', 'OverlapMetric', 'PROTOCOLS', 'Protocol', 'RegistrationMetric',
    'SemanticKittiPanopticSubmission', 'SemanticKittiSubmission', 'appearance_agreement', 'auroc',
    'build_panoptic_metric', 'recall_curve', 'rejection'
]


@METRICS.register_module(name='PanopticMetric')
def build_panoptic_metric(**kwargs):
    """Build a ``PanopticMetric``; its host is imported only now.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.evaluation', 'mmdet3d', 'PanopticMetric')
    from .panoptic_metric import PanopticMetric
    return PanopticMetric(**kwargs)
