"""Transforms of scans, images and calibration."""
from .geometric import (CropImages, RandomPlacement, RandomSceneFlip, RangeCrop, ResizeImages,
                        SamplePoints, ScaleImages, TrimImages)
from .loading import AccumulateSweeps, LoadImages, LoadScan
from .packing import PackCalibrationInputs
from .photometric import ImageOcclusion, PhotometricDistortion, PointNoise

__all__ = [
    'AccumulateSweeps', 'CropImages', 'ImageOcclusion', 'LoadImages', 'LoadScan',
    'PackCalibrationInputs', 'PhotometricDistortion', 'PointNoise', 'RandomPlacement',
    'RandomSceneFlip', 'RangeCrop', 'ResizeImages', 'SamplePoints', 'ScaleImages', 'TrimImages'
]
