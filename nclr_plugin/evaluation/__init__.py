"""Metrics, and the functions of errors and scores that they are made of."""
from .alignment_metric import AlignmentMetric
from .calibration_metric import CalibrationMetric
from .confidence import auroc
from .matching_metric import MatchingMetric
from .overlap_metric import OverlapMetric
from .recall import recall_curve

__all__ = [
    'AlignmentMetric', 'CalibrationMetric', 'MatchingMetric', 'OverlapMetric', 'auroc',
    'recall_curve'
]
