"""Transforms of scans, images and calibration."""
from .disturbance import ImageOcclusion, PointNoise
from .geometric import CropImages, RandomPlacement, RandomSceneFlip, RangeCrop, ResizeImages
from .loading import LoadImages, LoadScan
from .packing import PackCalibrationInputs
from .panoptic_labels import LoadPanopticLabels
from .photometric import PhotometricDistortion
from .registration import SamplePoints, ScaleImages, TrimImages
from .sweeps import AccumulateSweeps

__all__ = [
    'AccumulateSweeps', 'CropImages', 'ImageOcclusion', 'LoadImages', 'LoadPanopticLabels',
    'LoadScan', 'PackCalibrationInputs', 'PhotometricDistortion', 'PointNoise',
    'RandomPlacement', 'RandomSceneFlip', 'RangeCrop', 'ResizeImages', 'SamplePoints',
    'ScaleImages', 'TrimImages'
]
