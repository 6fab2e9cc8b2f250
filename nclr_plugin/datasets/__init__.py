"""Calibration data sets: readers, transforms, sampler; labelled scans in ``segmentation``."""
from ..errors import BrokenFrameError
from . import segmentation  # noqa: F401
from .calibration_dataset import CalibrationDataset
from .readers import (ConcatReader, KittiObjectReader, KittiOdometryReader, NuScenesReader,
                      RigReader)
from .samplers import SeededInfiniteSampler
from .segmentation import LoadPanopticLabels
from .transforms import (AccumulateSweeps, CropImages, ImageOcclusion, LoadImages, LoadScan,
                         PackCalibrationInputs, PhotometricDistortion, PointNoise, RandomPlacement,
                         RandomSceneFlip, RangeCrop, ResizeImages, SamplePoints, ScaleImages,
                         TrimImages)

__all__ = [
    'AccumulateSweeps', 'BrokenFrameError', 'CalibrationDataset', 'ConcatReader', 'CropImages',
    'ImageOcclusion', 'KittiObjectReader', 'KittiOdometryReader', 'LoadImages',
    'LoadPanopticLabels', 'LoadScan', 'NuScenesReader', 'PackCalibrationInputs',
    'PhotometricDistortion', 'PointNoise', 'RandomPlacement', 'RandomSceneFlip', 'RangeCrop',
    'ResizeImages', 'RigReader', 'SamplePoints', 'ScaleImages', 'SeededInfiniteSampler',
    'TrimImages'
]
