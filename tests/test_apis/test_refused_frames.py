"""Real frames that cannot calibrate a rig are refused or reported by name."""
import numpy as np
import pytest
from rectangles import off_by

from nclr_plugin.apis import (CalibrationInputError, Intrinsics, Pair, check, load_scan, refine)
from nclr_plugin.apis.results import pose_difference
from nclr_plugin.datasets.images import read_image
from nclr_plugin.datasets.readers import (KittiObjectReader, KittiOdometryReader,
                                          NuScenesReader)

pytestmark = pytest.mark.slow


def load_pair(frame):
    image = read_image(frame['frame_id'], dict(img_path=frame['images'][0]['img_path']))
    intrinsics = Intrinsics(frame['images'][0]['cam2img'], image_size=image.shape[1::-1])
    return Pair(image, load_scan(frame['lidar_path']), intrinsics, frame['frame_id'])


@pytest.fixture(scope='module')
def places(shared_data):
    """Eight places of KITTI, and their calibration."""
    frames = KittiObjectReader().read(str(shared_data / 'kitti_object'))[7:15]
    pose = np.asarray(frames[0]['images'][0]['lidar2cam'], np.float64)
    return [load_pair(frame) for frame in frames], pose


@pytest.fixture(scope='module')
def guess(places):
    return off_by(places[1], [1.5, -1., 0.5], [0.1, 0.1, -0.1])


@pytest.mark.parametrize('judge', [refine, check])
def test_scans_of_other_places(places, guess, judge):
    pairs, pose = places
    wrong = [pair._replace(points=other.points) for pair, other in zip(pairs, pairs[::-1])]
    if judge is refine:
        result = refine(wrong, guess)
        np.testing.assert_array_equal(result.lidar2cam, guess)
    else:
        checked = check(wrong, pose)
        assert checked.verdict == 'unknown' and checked.exit_status == 1, checked.statement
        result = checked.refinement
        assert result.reason in checked.statement
    assert not result.reliable and result.kept == 'guess', result.reason
    assert 'do not agree' in result.reason or 'limit of the range' in result.reason


def test_scans_of_one_ring(places, guess):
    pair = places[0][0]
    x, y, z = pair.points[:, :3].T
    elevation = np.degrees(np.arctan2(z, np.hypot(x, y)))
    ring = pair._replace(points=pair.points[np.abs(elevation + 2) < 0.15])
    for judge in (refine, check):
        with pytest.raises(CalibrationInputError, match=f'{pair.name}: .*many rings'):
            judge([ring], guess)


def test_camera_and_lidar_without_a_common_view(places, guess):
    pair = places[0][0]
    behind = pair._replace(points=pair.points[pair.points[:, 0] < 0])
    for judge in (refine, check):
        with pytest.raises(CalibrationInputError, match='points of the scan in view'):
            judge([behind], guess)


def test_scans_five_frames_late(shared_data):
    frames = KittiOdometryReader(['90']).read(str(shared_data / 'kitti_odometry'))[:16]
    pairs = [load_pair(frame) for frame in frames]
    late = [pair._replace(points=other.points) for pair, other in zip(pairs, pairs[5:])]
    checked = check(late, frames[0]['images'][0]['lidar2cam'])
    assert checked.verdict == 'unknown' and checked.exit_status == 1, checked.statement
    assert 'scans 5 frames earlier fit the images better' in checked.statement
    assert not checked.refinement.reliable and checked.refinement.kept == 'guess'


def test_one_moment_of_six_cameras(shared_data):
    """Together they lead to the pose, but a moment is one place."""
    frame, = NuScenesReader('info_v2.pkl').read(str(shared_data / 'nuscenes_frame'))
    points = load_scan(frame['lidar_path'], frame['lidar_dim'])
    poses = [np.asarray(image['lidar2cam'], np.float64) for image in frame['images']]
    pairs = []
    for camera, pose in zip(frame['images'], poses):
        image = read_image(camera['name'], dict(img_path=camera['img_path']))
        intrinsics = Intrinsics(camera['cam2img'], image_size=image.shape[1::-1])
        pairs.append(Pair(image, points, intrinsics, camera['name'],
                          pose @ np.linalg.inv(poses[0])))
    result = refine(pairs, off_by(poses[0], [1.2, -1.2, 1.1], [0.1, 0.1, -0.1]))
    rotation, translation = pose_difference(result.refined, poses[0])
    assert rotation < 1 and translation < 0.1 and result.preference > 3
    assert not result.reliable and result.kept == 'guess'
    assert 'at least 4 different places are needed, the frames show 1' in result.reason
