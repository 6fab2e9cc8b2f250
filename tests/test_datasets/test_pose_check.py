"""Poses that look wrong: inverted, in other units, with nothing in view."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets.pose_check import find_faults

AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])
CAM2IMG = np.array([[600., 0, 620], [0, 600, 190], [0, 0, 1]])
SIZE = 1240, 376


def pose(yaw, pitch=0., roll=0., position=(0.3, 0.1, -0.1)):
    """``lidar2cam`` of a camera that looks ``yaw`` degrees to the left and ``pitch`` down."""
    turn = Rotation.from_euler('ZYX', [yaw, pitch, roll], degrees=True).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = AXES @ turn.T
    matrix[:3, 3] = -matrix[:3, :3] @ position
    return matrix


@pytest.fixture
def points():
    """A scan of 64 rings, -25 to 5 degrees, all around."""
    azimuth, elevation = np.meshgrid(np.radians(np.arange(0, 360, 2.)),
                                     np.radians(np.linspace(-25, 5, 64)))
    distance = np.random.default_rng(0).uniform(4, 40, azimuth.shape)
    return np.stack([distance * np.cos(elevation) * np.cos(azimuth),
                     distance * np.cos(elevation) * np.sin(azimuth),
                     distance * np.sin(elevation)], -1).reshape(-1, 3).astype(np.float32)


YAWS = [0, 30, 55, 110, 180, -55, -110, 150]  # right ones of six cameras, and others


@pytest.mark.parametrize('yaw', YAWS)
@pytest.mark.parametrize('pitch, roll', [(0, 0), (1.5, -1), (-2, 2), (25, 0), (0, 10)])
def test_cameras_of_a_rig_pass(points, yaw, pitch, roll):
    assert not find_faults(points, pose(yaw, pitch, roll), CAM2IMG, SIZE)


@pytest.mark.parametrize('yaw', YAWS)
@pytest.mark.parametrize('pitch, roll', [(0, 0), (1.5, -1), (-2, 2)])
def test_cam2lidar_in_the_place_of_lidar2cam(points, yaw, pitch, roll):
    given = np.linalg.inv(pose(yaw, pitch, roll))
    faults = find_faults(points, given, CAM2IMG, SIZE)
    assert 'is it cam2lidar?' in faults[0] and 'the inverse is upright' in faults[0]
    direction = {0: 'forward', 1: 'left', 2: 'backward', 3: 'right'}[round(yaw / 90) % 4]
    assert f'upright and looks {direction}' in faults[0]


def test_portrait_cameras_pass(points):
    for yaw in (0, 55, 180):
        for roll in (90, -90):
            assert not find_faults(points, pose(yaw, roll=roll), CAM2IMG, SIZE)


def test_a_lidar_upside_down_passes(points):
    turned = pose(20) @ np.diag([1., -1, -1, 1])
    assert not find_faults(points * [1, -1, -1], turned, CAM2IMG, SIZE)


@pytest.mark.parametrize('factor', [100, 1000])
def test_translations_in_other_units(points, factor):
    given = pose(0)
    given[:3, 3] *= factor
    assert 'm away from the LiDAR' in find_faults(points, given, CAM2IMG, SIZE)[0]


def test_nothing_in_view(points):
    fault, = find_faults(points, pose(0, pitch=-70), CAM2IMG, SIZE)
    assert fault.startswith('0.0% of the points are in view')
