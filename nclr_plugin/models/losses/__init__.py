"""Losses of the pretraining tasks."""
from .gradnorm import GradNorm
from .info_nce import pixel_to_point_loss, point_to_pixel_loss
from .instance_discrimination import instance_loss, printed_cross_modal_loss
from .pose_loss import pose_loss
from .registration_loss import reprojection_loss, squared_pose_loss

__all__ = ['GradNorm', 'instance_loss', 'pixel_to_point_loss', 'point_to_pixel_loss',
           'pose_loss', 'printed_cross_modal_loss', 'reprojection_loss', 'squared_pose_loss']
