"""Write extrinsics as YAML, and in the formats of KITTI, ROS, URDF and OpenCV."""
from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np
import yaml

from ..geometry.se3 import invert_transform
from ..utils.optional import optional_import

EXTRINSICS = 'extrinsics.yaml'
FORMATS = dict(kitti='extrinsics_kitti.txt', ros='extrinsics_ros.txt',
               urdf='extrinsics_urdf.xml', opencv='extrinsics_opencv.yaml')
DECIMALS = 12  # far finer than any calibration; rounding residues become 0


class Frames(NamedTuple):
    """Names of the coordinate frames in ROS and URDF.

    Attributes:
        lidar: Frame of the scans.
        camera: Optical frame of the camera: x right, y down, z forward.
    """
    lidar: str = 'lidar'
    camera: str = 'camera_optical'


def kitti_tr(lidar2cam: np.ndarray) -> str:
    """Return the line ``Tr`` of KITTI's calib.txt: ``lidar2cam`` row by row, metres.

    This camera then is KITTI's reference camera, so its ``P`` is ``[cam2img | 0]``.

    Args:
        lidar2cam: (4, 4).
    """
    return f'Tr: {_numbers(lidar2cam[:3].ravel())}\n'


def ros_transform(lidar2cam: np.ndarray, frames: Frames = Frames()) -> str:
    """Return the static transform of ROS, with the commands that publish it.

    The LiDAR's frame is the parent, the camera's frame the child. As everywhere in ROS, the
    transform is the pose of the child in the parent, so it maps points from the camera to the
    LiDAR: it is the inverse of ``lidar2cam``.

    Args:
        lidar2cam: (4, 4).
        frames: Names of the frames.
    """
    cam2lidar = invert_transform(lidar2cam)
    quaternion = rotation_quaternion(cam2lidar[:3, :3])
    pose = _numbers((*cam2lidar[:3, 3], *quaternion))
    options = ' '.join(f'--{name} {value}' for name, value in zip(
        ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'), pose.split()))
    return (
        f'# Pose of the camera ({frames.camera}, the child) in the frame of the LiDAR\n'
        f'# ({frames.lidar}, the parent), metres: p_lidar = T p_camera, the inverse of lidar2cam.\n'
        f'# x y z qx qy qz qw\n{pose}\n# ROS 2\n'
        f'ros2 run tf2_ros static_transform_publisher {options} --frame-id {frames.lidar} '
        f'--child-frame-id {frames.camera}\n# ROS 1\n'
        f'rosrun tf2_ros static_transform_publisher {pose} {frames.lidar} {frames.camera}\n')


def urdf_joint(lidar2cam: np.ndarray, frames: Frames = Frames()) -> str:
    """Return the fixed joint of a URDF, from the LiDAR (parent) to the camera (child).

    Its origin is the pose of the camera in the LiDAR's frame: xyz in metres, rpy in radians about
    the LiDAR's x, y and z axes in this order.

    Args:
        lidar2cam: (4, 4).
        frames: Names of the links.
    """
    cam2lidar = invert_transform(lidar2cam)
    return (f'<joint name="{frames.lidar}_to_{frames.camera}" type="fixed">\n'
            f'  <parent link="{frames.lidar}"/>\n  <child link="{frames.camera}"/>\n'
            f'  <origin xyz="{_numbers(cam2lidar[:3, 3])}" '
            f'rpy="{_numbers(roll_pitch_yaw(cam2lidar[:3, :3]))}"/>\n</joint>\n')


def opencv_vectors(lidar2cam: np.ndarray) -> str:
    """Return a file of OpenCV's ``FileStorage`` with ``rvec`` and ``tvec``.

    ``cv2.projectPoints(points, rvec, tvec, cam2img, dist_coeffs)`` projects points of the LiDAR's
    frame: the transform is ``lidar2cam``.

    Args:
        lidar2cam: (4, 4).
    """
    vectors = (('rvec', _rotation(lidar2cam[:3, :3]).as_rotvec()), ('tvec', lidar2cam[:3, 3]))
    return '%YAML:1.0\n---\n' + ''.join(
        f'{name}: !!opencv-matrix\n   rows: 3\n   cols: 1\n   dt: d\n'
        f'   data: [ {_numbers(vector, ", ")} ]\n' for name, vector in vectors)


def write_extrinsics(out: str, record: dict, formats: Sequence[str] = (),
                     frames: Frames = Frames()) -> None:
    """Write extrinsics as YAML and in other formats; print the paths and the other formats' texts.

    An unreliable pose is written as YAML only, because the other formats cannot mark it.

    Args:
        out: Output folder.
        record: Content of the YAML file; ``lidar2cam`` (4, 4) and ``reliable`` among others.
        formats: Names of :data:`FORMATS`.
        frames: Names of the coordinate frames.
    """
    folder, lidar2cam = Path(out), np.array(record['lidar2cam'], np.float64)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / EXTRINSICS, 'w', encoding='utf-8') as stream:
        yaml.safe_dump(record, stream, sort_keys=False, default_flow_style=None)
    print(f'written: {folder / EXTRINSICS}')
    if formats and not record['reliable']:
        print(f'not written, because the pose is not reliable: {", ".join(formats)}')
        return
    texts = dict(kitti=kitti_tr(lidar2cam), ros=ros_transform(lidar2cam, frames),
                 urdf=urdf_joint(lidar2cam, frames), opencv=opencv_vectors(lidar2cam))
    for name in formats:
        (folder / FORMATS[name]).write_text(texts[name], encoding='utf-8')
        print(f'written: {folder / FORMATS[name]}\n{texts[name]}', end='')


def rotation_quaternion(R: np.ndarray) -> np.ndarray:
    """Return the quaternion (x, y, z, w) of a rotation (3, 3), with w >= 0."""
    quaternion = _rotation(R).as_quat()
    return -quaternion if quaternion[3] < 0 else quaternion


def roll_pitch_yaw(R: np.ndarray) -> np.ndarray:
    """Return the angles (3,), radians, with ``R = Rz(yaw) @ Ry(pitch) @ Rx(roll)``.

    At a pitch of 90 degrees (gimbal lock) the yaw is 0.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # at gimbal lock
        return _rotation(R).as_euler('xyz')


def _rotation(R: np.ndarray) -> Any:
    transform = optional_import('scipy.spatial.transform', 'scipy', 'Writing a rotation')
    return transform.Rotation.from_matrix(R)


def _numbers(values: Sequence[float], separator: str = ' ') -> str:
    """Format numbers with 9 digits; write rounding residues and -0 as 0."""
    return separator.join(f'{value:.9g}' for value in np.round(values, DECIMALS) + 0.)
