"""Heads: overlap, yaw, matching, pose; contrastive learning; semantics and instances."""
from mmengine.registry import MODELS

from ...utils.optional import register_lazily
from .contrastive_head import ContrastiveHead, PositionFreeContrastiveHead
from .matching_head import MatchingHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead
from .yaw_head import YawHead

__all__ = ['ContrastiveHead', 'LovaszMinkUNetHead', 'MatchingHead', 'OffsetHead', 'OverlapHead',
           'PoseHead', 'PositionFreeContrastiveHead', 'YawHead']

NEEDS = ('mmdet3d.models', 'mmdet3d')
LovaszMinkUNetHead = register_lazily(
    MODELS, 'LovaszMinkUNetHead', f'{__name__}.segmentation_heads', NEEDS)
OffsetHead = register_lazily(MODELS, 'OffsetHead', f'{__name__}.segmentation_heads', NEEDS)
