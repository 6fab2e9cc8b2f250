"""Calibration data sets: readers, transforms, sampler; labelled scans in ``segmentation``."""
from . import segmentation  # noqa: F401
from .calibration_dataset import CalibrationDataset
from .errors import BrokenFrameError
from .readers import (ConcatReader, KittiObjectReader, KittiOdometryReader, NuScenesReader,
                      RigReader)
from .samplers import SeededInfiniteSampler
from .transforms import (CropImages, LoadImages, LoadPanopticLabels, LoadScan,
                         PackCalibrationInputs, PhotometricDistortion, RandomPlacement,
                         RandomSceneFlip, RangeCrop, ResizeImages)

__all__ = [
    'BrokenFrameError', 'CalibrationDataset', 'ConcatReader', 'CropImages', 'KittiObjectReader',
    'KittiOdometryReader', 'LoadImages', 'LoadPanopticLabels', 'LoadScan', 'NuScenesReader',
    'PackCalibrationInputs', 'PhotometricDistortion', 'RandomPlacement', 'RandomSceneFlip',
    'RangeCrop', 'ResizeImages', 'RigReader', 'SeededInfiniteSampler'
]
