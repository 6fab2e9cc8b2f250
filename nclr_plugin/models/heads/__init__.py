"""Overlap, matching and pose."""
from .direction_head import DirectionHead
from .matching_head import MatchingHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead

__all__ = ['DirectionHead', 'MatchingHead', 'OverlapHead', 'PoseHead']
