"""Calibration matrices that are refused, and poses that look wrong."""
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets.readers.calibration import (check_cam2img, check_lidar2cam, find_faults,
                                                      homogeneous, kitti_camera,
                                                      read_kitti_calibration, take_matrix)

CAM2IMG = np.array([[700., 0, 600], [0, 710, 180], [0, 0, 1]])
AXES = np.array([[0., -1., 0.], [0., 0., -1.], [1., 0., 0.]])
CAMERA = np.array([[600., 0, 620], [0, 600, 190], [0, 0, 1]])
SIZE = 1240, 376


def rigid(seed=0):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    matrix[:3, 3] = [1, -2, 3]
    return matrix


def test_reads_names_and_numbers(tmp_path):
    path = tmp_path / 'calib.txt'
    path.write_text('calib_time: 1\nP2: 1 2 3 4 5 6 7 8 9 10 11 12\n\nTr: 1e-1 2\n')
    values = read_kitti_calibration(str(path))
    assert take_matrix(values, 'P2', 3, 4, 'f')[1].tolist() == [5, 6, 7, 8]
    assert values['Tr'].tolist() == [0.1, 2]


def test_a_word_among_the_numbers_is_named(tmp_path):
    path = tmp_path / 'calib.txt'
    path.write_text('P2: 1 2 three\n')
    values = read_kitti_calibration(str(path))
    with pytest.raises(ValueError, match="expected numbers after 'P2:', found '1 2 three'"):
        take_matrix(values, 'P2', 3, 4, 'a.txt')


@pytest.mark.parametrize('values, match', [
    (dict(Tr=np.zeros(12)),
     r"a.txt': expected a line 'P2 or P_rect_02: ...' with 12 numbers, found only \['Tr'\]"),
    (dict(P2=np.zeros(11)), r'expected 12 finite numbers after .P2:., found 11 in 11'),
    (dict(P2=np.array([np.nan] + [1.] * 11)), r'found 11 in 12 values'),
])
def test_incomplete_matrices_are_refused(values, match):
    with pytest.raises(ValueError, match=match):
        take_matrix(values, 'P2', 3, 4, 'a.txt')


NUMBERS = ' '.join(map(str, range(1, 13)))


@pytest.mark.parametrize('line', [
    f'Tr_velo_cam {NUMBERS}', f'  Tr_velo_cam\t{NUMBERS}  ', f'Tr_velo_to_cam : {NUMBERS}',
    f'Tr_velo_to_cam:{NUMBERS}'])
def test_names_with_and_without_colon(tmp_path, line):
    path = tmp_path / 'calib.txt'
    path.write_text(f'calib_time: 09-Jan-2012 13:57:47\ncorner_dist: 9.95e-02\n{line}\n')
    values = read_kitti_calibration(str(path))
    assert take_matrix(values, 'Tr_velo_to_cam', 3, 4, 'f')[0].tolist() == [1, 2, 3, 4]
    assert values['calib_time'] == '09-Jan-2012 13:57:47' and values['corner_dist'] == 0.0995


def test_kitti_camera_projects_as_its_projection_matrix():
    lidar2ref = rigid()
    projection = CAM2IMG @ np.column_stack([np.eye(3), [0.06, -0.01, 0.003]])
    camera = kitti_camera(projection, lidar2ref, 'a')
    points = np.random.default_rng(0).normal(size=(50, 3)) * 10
    expected = projection @ lidar2ref @ np.column_stack([points, np.ones(50)]).T
    found = camera['cam2img'] @ (camera['lidar2cam'] @ np.column_stack([points, np.ones(50)]).T)[:3]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-9)


def test_homogeneous_extends_rotations_and_transforms():
    assert homogeneous(np.eye(3)).tolist() == np.eye(4).tolist()
    assert homogeneous(rigid()[:3]).tolist() == rigid().tolist()


def test_lists_and_larger_intrinsics_are_taken():
    assert check_cam2img(homogeneous(CAM2IMG).tolist(), 'a').tolist() == CAM2IMG.tolist()
    assert check_lidar2cam(rigid()[:3].tolist(), 'a').tolist() == rigid().tolist()


@pytest.mark.parametrize('cam2img', [
    -CAM2IMG, CAM2IMG.T, CAM2IMG * 2, CAM2IMG[:2], CAM2IMG * np.nan, [[1, 2], [3]], 'K', None])
def test_intrinsics_that_are_none_are_refused(cam2img):
    with pytest.raises(ValueError, match='rig.yaml, front: expected'):
        check_cam2img(cam2img, 'rig.yaml, front')


@pytest.mark.parametrize('lidar2cam', [
    rigid() * 1.01, rigid() @ np.diag([1, -1, 1, 1]), rigid()[:2], np.full((4, 4), np.inf), 'T'])
def test_extrinsics_that_are_none_are_refused(lidar2cam):
    with pytest.raises(ValueError, match='rig.yaml, front: expected'):
        check_lidar2cam(lidar2cam, 'rig.yaml, front')


def test_the_rest_of_larger_matrices_is_not_ignored():
    projection = homogeneous(CAM2IMG)
    projection[0, 3] = 44.86  # P2 of KITTI
    with pytest.raises(ValueError, match='K\\^-1 p is to be added to the translation'):
        check_cam2img(projection, 'rig.yaml, front')
    for wrong in (rigid().T, np.diag([1, 1, 1, 2]) @ rigid()):
        with pytest.raises(ValueError, match='front: expected the last row 0, 0, 0, 1'):
            check_lidar2cam(wrong, 'rig.yaml, front')


def test_rounded_rotations_are_taken():
    rounded = np.round(rigid(), 6)
    assert check_lidar2cam(rounded, 'a').tolist() == rounded.tolist()


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
    assert not find_faults(points, pose(yaw, pitch, roll), CAMERA, SIZE)


@pytest.mark.parametrize('yaw', YAWS)
@pytest.mark.parametrize('pitch, roll', [(0, 0), (1.5, -1), (-2, 2)])
def test_cam2lidar_in_the_place_of_lidar2cam(points, yaw, pitch, roll):
    given = np.linalg.inv(pose(yaw, pitch, roll))
    faults = find_faults(points, given, CAMERA, SIZE)
    assert 'is it cam2lidar?' in faults[0] and 'the inverse is upright' in faults[0]
    direction = {0: 'forward', 1: 'left', 2: 'backward', 3: 'right'}[round(yaw / 90) % 4]
    assert f'upright and looks {direction}' in faults[0]


def test_portrait_cameras_pass(points):
    for yaw in (0, 55, 180):
        for roll in (90, -90):
            assert not find_faults(points, pose(yaw, roll=roll), CAMERA, SIZE)


def test_a_lidar_upside_down_passes(points):
    turned = pose(20) @ np.diag([1., -1, -1, 1])
    assert not find_faults(points * [1, -1, -1], turned, CAMERA, SIZE)


@pytest.mark.parametrize('factor', [100, 1000])
def test_translations_in_other_units(points, factor):
    given = pose(0)
    given[:3, 3] *= factor
    assert 'm away from the LiDAR' in find_faults(points, given, CAMERA, SIZE)[0]


def test_nothing_in_view(points):
    fault, = find_faults(points, pose(0, pitch=-70), CAMERA, SIZE)
    assert fault.startswith('0.0% of the points are in view')
