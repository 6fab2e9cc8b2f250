"""Calibration data sets: readers, transforms, sampler; labelled scans in ``segmentation``."""
from ..errors import BrokenFrameError
from . import segmentation  # noqa: F401
from .calibration_dataset import CalibrationDataset
from .readers import (ConcatReader, KittiObjectReader, KittiOdometryReader, NuScenesReader,
                      RigReader)
from .samplers import SeededInfiniteSampler
from .segmentation import LoadPanopticLabels
from .transforms import (AccumulateSweeps, ColorJitter, CropImages, CropPoints, CropTop,
                         ImageOcclusion, LoadImages, LoadPoints, PackCalibrationInputs, PointNoise,
                         RandomRigidTransform, RandomSceneFlip, RescaleImages, ResizeImages,
                         VoxelSample)

__all__ = [
    'AccumulateSweeps', 'BrokenFrameError', 'CalibrationDataset', 'ColorJitter', 'ConcatReader',
    'CropImages', 'CropPoints', 'CropTop', 'ImageOcclusion', 'KittiObjectReader',
    'KittiOdometryReader', 'LoadImages', 'LoadPanopticLabels', 'LoadPoints', 'NuScenesReader',
    'PackCalibrationInputs', 'PointNoise', 'RandomRigidTransform', 'RandomSceneFlip',
    'RescaleImages', 'ResizeImages', 'RigReader', 'SeededInfiniteSampler', 'VoxelSample'
]
