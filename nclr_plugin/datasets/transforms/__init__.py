"""Transforms of scans, images and calibration."""
from .geometric import (CropImages, CropPoints, CropTop, MixScans, RandomRigidTransform,
                        RandomSceneFlip, RescaleImages, ResizeImages, VoxelSample)
from .loading import AccumulateSweeps, LoadImages, LoadPoints, PackCalibrationInputs
from .photometric import ColorJitter, ImageOcclusion, PointNoise
from .virtual_camera import VirtualCamera

__all__ = [
    'AccumulateSweeps', 'ColorJitter', 'CropImages', 'CropPoints', 'CropTop', 'ImageOcclusion',
    'LoadImages', 'LoadPoints', 'MixScans', 'PackCalibrationInputs', 'PointNoise',
    'RandomRigidTransform', 'RandomSceneFlip', 'RescaleImages', 'ResizeImages', 'VirtualCamera',
    'VoxelSample'
]
