"""Overlap, matching and pose; semantics and instances."""
from mmengine.registry import MODELS

from nclr_plugin.registry import register_lazily
from .content_head import ContentHead
from .contrastive_head import ContrastiveHead
from .matching_head import MatchingHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead
from .yaw_head import YawHead

__all__ = ['ContentHead', 'ContrastiveHead', 'LovaszMinkUNetHead', 'MatchingHead', 'OffsetHead',
           'OverlapHead', 'PoseHead', 'YawHead']

HOST = ('mmdet3d.models', 'mmdet3d')
LovaszMinkUNetHead = register_lazily(
    MODELS, 'LovaszMinkUNetHead', f'{__name__}.segmentation_heads', HOST)
OffsetHead = register_lazily(MODELS, 'OffsetHead', f'{__name__}.segmentation_heads', HOST)
