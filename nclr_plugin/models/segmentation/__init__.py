"""What the host's segmentors need besides the host."""
from mmengine.registry import MODELS

from nclr_plugin.registry import register_lazily

__all__ = ['LinearProbeMinkUNet', 'SegDataPreprocessor']

HOST = ('mmdet3d.models', 'mmdet3d')
SegDataPreprocessor = register_lazily(
    MODELS, 'SegDataPreprocessor', f'{__name__}.data_preprocessor', HOST)
LinearProbeMinkUNet = register_lazily(
    MODELS, 'LinearProbeMinkUNet', f'{__name__}.linear_probe', HOST)
