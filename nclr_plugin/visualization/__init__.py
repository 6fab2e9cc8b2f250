"""Pictures."""
from .overlay import compare_poses, compare_sample, draw_points

__all__ = ['compare_poses', 'compare_sample', 'draw_points']
