"""Networks, registered in mmengine's root ``MODELS``."""
from . import backbones, heads, necks, pretrainers, segmentation, segmentors
from .data_preprocessor import CalibrationDataPreprocessor

__all__ = ['CalibrationDataPreprocessor', 'backbones', 'heads', 'necks', 'pretrainers',
           'segmentation', 'segmentors']
