"""Calibrate a camera against a LiDAR from Python: an image, a scan, intrinsics, a checkpoint."""
from .calibration import Calibration, Matches
from .calibrator import Calibrator, calibrate
from ..errors import CalibrationInputError
from .intrinsics import Intrinsics
from .intrinsics_files import read_intrinsics
from .rig_estimate import RigEstimate, fuse
from .scans import load_scan

__all__ = ['Calibration', 'CalibrationInputError', 'Calibrator', 'Intrinsics', 'Matches',
           'RigEstimate', 'calibrate', 'fuse', 'load_scan', 'read_intrinsics']
