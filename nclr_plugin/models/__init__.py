"""Networks, registered in mmengine's root ``MODELS``."""
from . import backbones, heads, layers, losses, necks, pretrainers, segmentors
from .data_preprocessor import CalibrationDataPreprocessor
from .initializers import InputScaleInit

__all__ = ['CalibrationDataPreprocessor', 'InputScaleInit', 'backbones', 'heads', 'layers',
           'losses', 'necks', 'pretrainers', 'segmentors']
