"""Panoptic segmentation: the segmentor and the grouping of points to instances."""
from mmengine.registry import MODELS

from nclr_plugin.utils.optional import optional_import
from .grouping import group_instances

__all__ = ['build_panoptic_minkunet', 'group_instances']


@MODELS.register_module(name='PanopticMinkUNet')
def build_panoptic_minkunet(**kwargs):
    """Build a ``PanopticMinkUNet``; its host is imported only now.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.models', 'mmdet3d', 'PanopticMinkUNet')
    from .panoptic_minkunet import PanopticMinkUNet
    return PanopticMinkUNet(**kwargs)
