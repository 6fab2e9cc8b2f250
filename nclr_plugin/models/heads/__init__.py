"""Overlap, matching and pose; semantics and instances."""
from mmengine.registry import MODELS

from nclr_plugin.registry import register_lazily
from .content_head import ContentHead
from .contrastive_head import ContrastiveHead
from .direction_head import DirectionHead
from .matching_head import MatchingHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead

__all__ = ['ContentHead', 'ContrastiveHead', 'DirectionHead', 'LovaszMinkUNetHead',
           'MatchingHead', 'OffsetHead', 'OverlapHead', 'PoseHead']

HOST = ('mmdet3d.models', 'mmdet3d')
LovaszMinkUNetHead = register_lazily(
    MODELS, 'LovaszMinkUNetHead', f'{__name__}.segmentation_heads', HOST)
OffsetHead = register_lazily(MODELS, 'OffsetHead', f'{__name__}.segmentation_heads', HOST)
