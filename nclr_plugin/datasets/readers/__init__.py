"""Readers: each lists the frames of one on-disk layout, with checked calibration."""
from .kitti import KittiObjectReader, KittiOdometryReader
from .nuscenes import NuScenesReader
from .rig import RigReader

__all__ = ['KittiObjectReader', 'KittiOdometryReader', 'NuScenesReader', 'RigReader']
