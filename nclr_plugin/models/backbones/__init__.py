"""Point and image backbones, each split into ``encode`` and ``decode``."""
from mmengine.registry import MODELS

from nclr_plugin.utils.optional import optional_import
from .image_branch import ResNetFPN

__all__ = ['ResNetFPN', 'build_split_minkunet']


@MODELS.register_module(name='SplitMinkUNet')
def build_split_minkunet(**kwargs):
    """Build a ``SplitMinkUNet``; its host is imported only now.

    Raises:
        ImportError: mmdet3d or spconv is not installed.
    """
    optional_import('spconv.pytorch', 'spconv-cu120', 'SplitMinkUNet')
    optional_import('mmdet3d.models', 'mmdet3d', 'SplitMinkUNet')
    from .minkunet import SplitMinkUNet
    return SplitMinkUNet(**kwargs)
