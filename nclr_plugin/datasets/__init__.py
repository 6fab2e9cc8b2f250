"""Calibration data sets: readers, transforms, sampler; labelled scans in ``segmentation``.

- ``calibration_dataset``, ``samplers``: frames of a reader, resumable at any sample.
- ``readers``, ``transforms``: frames by data set, and the steps of a pipeline.
- ``images``, ``scan_files``, ``scans``: files of images and scans, checked.
- ``segmentation``, ``kitti_infos``, ``kitti_preparation``, ``label_fractions``, ``scan_images``:
  data of fine-tuning in mmdet3d and OpenPCDet.
"""
from ..errors import BrokenFrameError
from . import segmentation  # noqa: F401
from .calibration_dataset import CalibrationDataset
from .readers import (ConcatReader, KittiObjectReader, KittiOdometryReader, NuScenesReader,
                      RigReader)
from .samplers import SeededInfiniteSampler
from .segmentation import LoadPanopticLabels
from .transforms import (AccumulateSweeps, ColorJitter, CropImages, CropPoints, CropTop,
                         ImageOcclusion, LoadImages, LoadPoints, MixScans, PackCalibrationInputs,
                         PointNoise, RandomRigidTransform, RandomSceneFlip, RescaleImages,
                         ResizeImages, VirtualCamera, VoxelSample)

__all__ = [
    'AccumulateSweeps', 'BrokenFrameError', 'CalibrationDataset', 'ColorJitter', 'ConcatReader',
    'CropImages', 'CropPoints', 'CropTop', 'ImageOcclusion', 'KittiObjectReader',
    'KittiOdometryReader', 'LoadImages', 'LoadPanopticLabels', 'LoadPoints', 'MixScans',
    'NuScenesReader', 'PackCalibrationInputs', 'PointNoise', 'RandomRigidTransform',
    'RandomSceneFlip', 'RescaleImages', 'ResizeImages', 'RigReader', 'SeededInfiniteSampler',
    'VirtualCamera', 'VoxelSample'
]
