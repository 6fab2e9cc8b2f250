"""Geometry in torch: rigid transforms, pinhole cameras, poses from matches.

Frames: LiDAR x forward, y left, z up; camera x right, y down, z forward. Metres and radians.
``lidar2cam`` maps LiDAR to camera, ``cam2img`` is the 3x3 K, pixels are (u, v) with integers at
pixel centres. Functions of ``se3`` and ``camera`` take tensors, or numpy arrays and return arrays.

- ``se3``: rigid transforms and rotations, of any number of leading dimensions.
- ``camera``: intrinsics, projection, visibility, and the cells of feature maps.
- ``pnp``: differentiable PnP, the maximum-likelihood poses of a batch of weighted matches.
- ``epnp``, ``reprojection``: its start, EPnP, and its cost with first and second derivatives.
- ``scan_centre``: about where the sensor of a scan is.
- ``ransac``: the pose of one view from matches with outliers.
"""
from .camera import (
    CellGrid,
    crop_intrinsics,
    flip_extrinsics,
    flip_intrinsics,
    flip_points,
    in_view,
    project_points,
    resize_intrinsics,
)
from .pnp import PnPSolution, refine_pose, solve_pnp
from .ransac import RobustPose, solve_robust
from .se3 import (
    invert_transform,
    make_transform,
    rotation_error_geodesic_deg,
    so3_exp,
    so3_log,
    transform_points,
    translation_error,
    yaw_rotation,
)

__all__ = [
    'CellGrid', 'PnPSolution', 'RobustPose', 'crop_intrinsics', 'flip_extrinsics',
    'flip_intrinsics', 'flip_points', 'in_view', 'invert_transform', 'make_transform',
    'project_points', 'refine_pose', 'resize_intrinsics', 'rotation_error_geodesic_deg',
    'so3_exp', 'so3_log', 'solve_pnp', 'solve_robust', 'transform_points', 'translation_error',
    'yaw_rotation'
]
