"""Calibrate a camera against a LiDAR in Python from image, scan, intrinsics and checkpoint.

- ``calibrator``: one pair by a trained network; ``results``: its poses, and their fusion.
- ``pose_confirmation``, ``verification``: whether image and scan confirm a pose.
- ``refinement``, ``joint_search``: the best pose near a guess, over many pairs.
- ``files``: all of it from files to files; ``inputs``, ``bags``, ``ros_messages``, ``formats``.
- ``intrinsics``, ``scans``: input that is read and checked.
"""
from ..errors import CalibrationInputError
from .calibrator import Calibrator, calibrate
from .intrinsics import Intrinsics, read_intrinsics
from .joint_search import Pair
from .refinement import CalibrationCheck, Refinement, check, refine
from .results import Calibration, Matches, RigEstimate, consensus_pose, fuse
from .scans import load_scan

__all__ = ['Calibration', 'CalibrationCheck', 'CalibrationInputError', 'Calibrator', 'Intrinsics',
           'Matches', 'Pair', 'Refinement', 'RigEstimate', 'calibrate', 'check', 'consensus_pose',
           'fuse', 'load_scan', 'read_intrinsics', 'refine']
