"""Overlap, matching and pose; semantics and instances."""
from mmengine.registry import MODELS

from nclr_plugin.utils.optional import optional_import
from .content_head import ContentHead
from .contrastive_head import ContrastiveHead
from .direction_head import DirectionHead
from .matching_head import MatchingHead
from .offset_head import OffsetHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead

__all__ = ['ContentHead', 'ContrastiveHead', 'DirectionHead', 'MatchingHead', 'OffsetHead',
           'OverlapHead', 'PoseHead', 'build_lovasz_minkunet_head']


@MODELS.register_module(name='LovaszMinkUNetHead')
def build_lovasz_minkunet_head(**kwargs):
    """Build a ``LovaszMinkUNetHead``; its host is imported only now.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.models', 'mmdet3d', 'LovaszMinkUNetHead')
    from .semantic_head import LovaszMinkUNetHead
    return LovaszMinkUNetHead(**kwargs)
