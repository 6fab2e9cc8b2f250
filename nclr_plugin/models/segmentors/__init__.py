"""Panoptic segmentation: the segmentor and the grouping of points to instances."""
from mmengine.registry import MODELS

from nclr_plugin.registry import register_lazily
from .grouping import group_instances

__all__ = ['PanopticMinkUNet', 'group_instances']

PanopticMinkUNet = register_lazily(
    MODELS, 'PanopticMinkUNet', f'{__name__}.panoptic_minkunet', ('mmdet3d.models', 'mmdet3d'))
