"""Networks, registered in mmengine's root ``MODELS``."""
from . import backbones, heads, layers, losses, necks, pretrainers, segmentors
from .data_preprocessor import CalibrationDataPreprocessor
from .initializers import InputSpread

__all__ = ['CalibrationDataPreprocessor', 'InputSpread', 'backbones', 'heads', 'layers', 'losses',
           'necks', 'pretrainers', 'segmentors']
