"""Overlap, matching and pose."""
from .matching_head import MatchingHead
from .overlap_head import OverlapHead
from .pose_head import PoseHead

__all__ = ['MatchingHead', 'OverlapHead', 'PoseHead']
