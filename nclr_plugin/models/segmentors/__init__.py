"""Segmentors on mmdet3d's MinkUNet, and the grouping of points into instances."""
from mmengine.registry import MODELS

from ...utils.optional import register_lazily
from .grouping import group_instances

__all__ = ['LinearProbeMinkUNet', 'PanopticMinkUNet', 'SegDataPreprocessor', 'group_instances']

NEEDS = ('mmdet3d.models', 'mmdet3d')
LinearProbeMinkUNet = register_lazily(MODELS, 'LinearProbeMinkUNet', f'{__name__}.minkunet', NEEDS)
PanopticMinkUNet = register_lazily(MODELS, 'PanopticMinkUNet', f'{__name__}.minkunet', NEEDS)
SegDataPreprocessor = register_lazily(
    MODELS, 'SegDataPreprocessor', f'{__name__}.minkunet', NEEDS)
