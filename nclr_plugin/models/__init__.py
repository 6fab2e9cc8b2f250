"""Networks, registered in mmengine's root ``MODELS``.

``pretrainers`` has the two pretraining networks, assembled from ``backbones``, ``necks``, ``heads``
and ``losses``; ``layers`` has what these share. ``segmentors`` has what fine-tuning in mmdet3d
needs beside mmdet3d.
"""
from . import backbones, heads, layers, losses, necks, pretrainers, segmentors
from .data_preprocessor import CalibrationDataPreprocessor
from .initializers import InputScaleInit

__all__ = ['CalibrationDataPreprocessor', 'InputScaleInit', 'backbones', 'heads', 'layers',
           'losses', 'necks', 'pretrainers', 'segmentors']
