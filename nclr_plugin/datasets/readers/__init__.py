"""Readers: each lists the frames of one on-disk layout, with checked calibration."""
from .base import ConcatReader, Reader
from .kitti import KittiObjectReader, KittiOdometryReader
from .nuscenes import NuScenesReader
from .rig import RigReader

__all__ = [
    'ConcatReader', 'KittiObjectReader', 'KittiOdometryReader', 'NuScenesReader', 'Reader',
    'RigReader'
]
