"""Transforms of scans, images and calibration."""
from .geometric import CropImages, RandomPlacement, RandomSceneFlip, RangeCrop, ResizeImages
from .loading import LoadImages, LoadScan
from .packing import PackCalibrationInputs
from .panoptic_labels import LoadPanopticLabels
from .photometric import PhotometricDistortion

__all__ = [
    'CropImages', 'LoadImages', 'LoadPanopticLabels', 'LoadScan', 'PackCalibrationInputs',
    'PhotometricDistortion', 'RandomPlacement', 'RandomSceneFlip', 'RangeCrop', 'ResizeImages'
]
