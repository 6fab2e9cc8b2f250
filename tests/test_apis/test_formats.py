"""Extrinsics as KITTI, ROS, URDF and OpenCV read them, against scipy, OpenCV and our reader."""
import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from nclr_plugin.apis.formats import (FORMATS, Frames, kitti_tr, opencv_vectors, roll_pitch_yaw,
                                      ros_transform, rotation_quaternion, urdf_joint,
                                      write_extrinsics)
from nclr_plugin.datasets.readers.calibration import kitti_lidar2ref, read_kitti_calibration

FRAMES = Frames('velodyne', 'cam2_optical')


def matrix(rotation, translation):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.as_matrix(), translation
    return pose


@pytest.fixture(params=range(20))
def lidar2cam(request):
    rng = np.random.default_rng(request.param)
    return matrix(Rotation.random(random_state=request.param), rng.normal(0, 2, 3))


def test_kitti_is_read_back_by_the_reader_of_kitti(lidar2cam, tmp_path):
    path = tmp_path / 'calib.txt'
    path.write_text('P0: 7 0 6 0 0 7 2 0 0 0 1 0\n' + kitti_tr(lidar2cam))
    found = kitti_lidar2ref(read_kitti_calibration(str(path)), str(path))
    np.testing.assert_allclose(found, lidar2cam, atol=1e-8)


def test_ros_gives_the_pose_of_the_camera_in_the_frame_of_the_lidar(lidar2cam):
    lines = [line for line in ros_transform(lidar2cam, FRAMES).splitlines() if line[0] != '#']
    numbers = np.array(lines[0].split(), float)
    cam2lidar = matrix(Rotation.from_quat(numbers[3:]), numbers[:3])
    np.testing.assert_allclose(cam2lidar @ lidar2cam, np.eye(4), atol=1e-8)
    words = lines[1].split()
    options = dict(zip(words[4::2], words[5::2]))
    assert words[:4] == ['ros2', 'run', 'tf2_ros', 'static_transform_publisher']
    assert [options[f'--{name}'] for name in 'x y z qx qy qz qw'.split()] == lines[0].split()
    assert options['--frame-id'] == 'velodyne' and options['--child-frame-id'] == 'cam2_optical'
    assert lines[2].split()[3:] == [*lines[0].split(), 'velodyne', 'cam2_optical']


def test_ros_by_a_camera_ahead_of_the_lidar():
    """A camera 1 m ahead of the LiDAR that looks forward, as its driver would write it by hand."""
    lidar2cam = np.array([[0., -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -1], [0, 0, 0, 1]])
    text = ros_transform(lidar2cam, FRAMES)
    assert '\n1 0 0 -0.5 0.5 -0.5 0.5\n' in text
    assert 'p_lidar = T p_camera' in text and 'inverse of lidar2cam' in text
    origin = ElementTree.fromstring(urdf_joint(lidar2cam)).find('origin')
    assert origin.get('xyz') == '1 0 0'
    assert origin.get('rpy') == '-1.57079633 0 -1.57079633'


def test_urdf_is_a_joint_from_the_lidar_to_the_camera(lidar2cam):
    joint = ElementTree.fromstring(urdf_joint(lidar2cam, FRAMES))
    assert joint.get('type') == 'fixed'
    assert joint.find('parent').get('link') == 'velodyne'
    assert joint.find('child').get('link') == 'cam2_optical'
    xyz, rpy = (np.array(joint.find('origin').get(name).split(), float) for name in ('xyz', 'rpy'))
    cam2lidar = matrix(Rotation.from_euler('xyz', rpy), xyz)  # fixed axes, as URDF has them
    np.testing.assert_allclose(cam2lidar @ lidar2cam, np.eye(4), atol=1e-7)


def test_opencv_projects_points_of_the_lidar(lidar2cam, tmp_path):
    path = tmp_path / 'vectors.yaml'
    path.write_text(opencv_vectors(lidar2cam))
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
    rvec, tvec = storage.getNode('rvec').mat(), storage.getNode('tvec').mat()
    storage.release()
    assert rvec.shape == tvec.shape == (3, 1)
    in_camera = np.random.default_rng(0).uniform([-3, -3, 5], [3, 3, 30], (50, 3))
    points = np.linalg.solve(lidar2cam[:3, :3], (in_camera - lidar2cam[:3, 3]).T).T
    cam2img = np.array([[700., 0, 600], [0, 710, 180], [0, 0, 1]])
    projected = in_camera @ cam2img.T
    found, _ = cv2.projectPoints(points, rvec, tvec, cam2img, None)
    np.testing.assert_allclose(found[:, 0], projected[:, :2] / projected[:, 2:], atol=1e-4)


@pytest.mark.parametrize('turn', [[0, 0, 0], [180, 0, 0], [0, 180, 0], [0, 0, 180], [0, 0, 1e-7],
                                  [127.2792206, 127.2792206, 0], [0, 179.9999999, 0]])
def test_quaternions_of_no_turn_and_of_half_a_turn(turn):
    R = Rotation.from_rotvec(turn, degrees=True).as_matrix()
    found = rotation_quaternion(R)
    assert found[3] >= 0
    np.testing.assert_allclose(Rotation.from_quat(found).as_matrix(), R, atol=1e-9)


@pytest.mark.parametrize('pitch', [90, -90, 89.9999, -89.9999])
@pytest.mark.parametrize('roll, yaw', [(0, 0), (30, 0), (20, -70), (170, 100)])
def test_angles_of_a_camera_that_is_turned_on_its_side(roll, pitch, yaw):
    R = Rotation.from_euler('xyz', [roll, pitch, yaw], degrees=True).as_matrix()
    found = roll_pitch_yaw(R)
    np.testing.assert_allclose(Rotation.from_euler('xyz', found).as_matrix(), R, atol=1e-8)
    assert found[2] == 0 or abs(pitch) != 90


def test_files_and_what_is_printed(tmp_path, capsys):
    record = dict(lidar2cam=np.eye(4).tolist(), reliable=True, num_pairs=3)
    out = tmp_path / 'new' / 'out'
    write_extrinsics(str(out), record, ['kitti', 'ros'])
    assert sorted(path.name for path in out.iterdir()) == [
        'extrinsics.yaml', 'extrinsics_kitti.txt', 'extrinsics_ros.txt']
    assert yaml.safe_load((out / 'extrinsics.yaml').read_text()) == record
    kitti, ros = ((out / FORMATS[name]).read_text() for name in ('kitti', 'ros'))
    assert kitti == 'Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n' and '--frame-id lidar' in ros
    assert capsys.readouterr().out == (
        f"written: {out / 'extrinsics.yaml'}\nwritten: {out / 'extrinsics_kitti.txt'}\n{kitti}"
        f"written: {out / 'extrinsics_ros.txt'}\n{ros}")
    write_extrinsics(str(out), record, list(FORMATS))
    assert len(list(out.iterdir())) == 5


def test_an_unreliable_pose_is_not_made_ready_to_paste(tmp_path, capsys):
    write_extrinsics(str(tmp_path), dict(lidar2cam=np.eye(4).tolist(), reliable=False), ['urdf'])
    assert [path.name for path in tmp_path.iterdir()] == ['extrinsics.yaml']
    assert 'not written, because the pose is not reliable: urdf' in capsys.readouterr().out
