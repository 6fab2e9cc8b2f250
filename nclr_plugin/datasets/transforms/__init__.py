"""Transforms of scans, images and calibration."""
from .geometric import CropImages, RandomPlacement, RandomSceneFlip, RangeCrop, ResizeImages
from .loading import LoadImages, LoadScan
from .packing import PackCalibrationInputs
from .photometric import PhotometricDistortion

__all__ = [
    'CropImages', 'LoadImages', 'LoadScan', 'PackCalibrationInputs', 'PhotometricDistortion',
    'RandomPlacement', 'RandomSceneFlip', 'RangeCrop', 'ResizeImages'
]
