"""Overlap, matching and pose; semantics and instances."""
from mmengine.registry import MODELS

from nclr_plugin.registry import register_lazily
from .content_head import ContentHead
from .contrastive_head import ContrastiveHead
from .direction_head import DirectionHead
from .matching_head import MatchingHead
from .offset_head import OffsetHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead

__all__ = ['ContentHead', 'ContrastiveHead', 'DirectionHead', 'LovaszMinkUNetHead',
           'MatchingHead', 'OffsetHead', 'OverlapHead', 'PoseHead']

LovaszMinkUNetHead = register_lazily(
    MODELS, 'LovaszMinkUNetHead', f'{__name__}.semantic_head', ('mmdet3d.models', 'mmdet3d'))
