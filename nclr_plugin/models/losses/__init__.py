"""Losses of the pretraining networks, and GradNorm to balance them."""
from .contrastive_loss import (PixelTargets, instance_loss, pixel_targets, pixel_to_point_loss,
                               point_to_pixel_loss, printed_cross_modal_loss)
from .gradnorm import GradNorm
from .pose_loss import pose_loss, reprojection_loss, squared_pose_loss

__all__ = ['GradNorm', 'PixelTargets', 'instance_loss', 'pixel_targets', 'pixel_to_point_loss',
           'point_to_pixel_loss', 'pose_loss', 'printed_cross_modal_loss', 'reprojection_loss',
           'squared_pose_loss']
