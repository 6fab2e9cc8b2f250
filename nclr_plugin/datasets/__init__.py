"""Calibration data sets: readers, transforms, sampler; labelled scans in ``segmentation``."""
from . import segmentation  # noqa: F401
from .calibration_dataset import CalibrationDataset
from ..errors import BrokenFrameError
from .readers import (ConcatReader, KittiObjectReader, KittiOdometryReader, NuScenesReader,
                      RigReader)
from .samplers import SeededInfiniteSampler
from .transforms import (AccumulateSweeps, CropImages, ImageOcclusion, LoadImages,
                         LoadPanopticLabels, LoadScan, PackCalibrationInputs,
                         PhotometricDistortion, PointNoise, RandomPlacement, RandomSceneFlip,
                         RangeCrop, ResizeImages, SamplePoints, ScaleImages, TrimImages)

__all__ = [
    'AccumulateSweeps', 'BrokenFrameError', 'CalibrationDataset', 'ConcatReader', 'CropImages',
    'ImageOcclusion', 'KittiObjectReader', 'KittiOdometryReader', 'LoadImages',
    'LoadPanopticLabels', 'LoadScan', 'NuScenesReader', 'PackCalibrationInputs',
    'PhotometricDistortion', 'PointNoise', 'RandomPlacement', 'RandomSceneFlip', 'RangeCrop',
    'ResizeImages', 'RigReader', 'SamplePoints', 'ScaleImages', 'SeededInfiniteSampler',
    'TrimImages'
]
