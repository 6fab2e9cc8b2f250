"""What the host's segmentors need besides the host."""
from mmengine.registry import MODELS

from nclr_plugin.utils.optional import optional_import

__all__ = ['build_linear_probe', 'build_seg_data_preprocessor']


@MODELS.register_module(name='SegDataPreprocessor')
def build_seg_data_preprocessor(**kwargs):
    """Build a ``SegDataPreprocessor``; its host is imported only now.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.models', 'mmdet3d', 'SegDataPreprocessor')
    from .data_preprocessor import SegDataPreprocessor
    return SegDataPreprocessor(**kwargs)


@MODELS.register_module(name='LinearProbeMinkUNet')
def build_linear_probe(**kwargs):
    """Build a ``LinearProbeMinkUNet``, as :func:`build_seg_data_preprocessor` does.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.models', 'mmdet3d', 'LinearProbeMinkUNet')
    from .linear_probe import LinearProbeMinkUNet
    return LinearProbeMinkUNet(**kwargs)
