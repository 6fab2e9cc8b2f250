"""Losses of the pretraining tasks."""
from .info_nce import pixel_to_point_loss, point_to_pixel_loss
from .overlap_loss import overlap_loss
from .pose_loss import pose_loss

__all__ = ['overlap_loss', 'pixel_to_point_loss', 'point_to_pixel_loss', 'pose_loss']
