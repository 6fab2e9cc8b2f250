"""The demo rig in one call: three cameras, one of them backward, and a LiDAR upside down."""
import numpy as np
import pytest
import torch
import yaml
from rectangles import CAM2IMG, HEIGHT, WIDTH, make_frame, off_by, true_pose

from nclr_plugin.apis import Intrinsics, Pair, joint_search
from nclr_plugin.apis.results import pose_difference
from nclr_plugin.apis.verification import find_misplaced
from nclr_plugin.demo import DemoOptions, generate

pytestmark = pytest.mark.slow
NUM_FRAMES = 6


@pytest.fixture(scope='module')
def rig(tmp_path_factory):
    """Folder of the demo rig, and the content of its ``rig.yaml``."""
    root = tmp_path_factory.mktemp('demo') / 'rig'
    generate(str(root), 'rig', DemoOptions(scenes=NUM_FRAMES, azimuths=800, seed=3))
    return root, read(root / 'rig.yaml')


@pytest.fixture
def call(status, capsys):
    """Function: words of the command line -> exit status and what is printed."""
    def run(*words):
        code = status([str(word) for word in words])
        return code, capsys.readouterr().out

    return run


def read(path):
    return yaml.safe_load(path.read_text())


def poses(rig):
    return {camera['name']: np.array(camera['lidar2cam']) for camera in rig['cameras']}


def write_guess(rig, name, move):
    """A rig.yaml beside the true one, with poses moved by a function of number and pose."""
    root, truth = rig
    moved = [dict(camera, lidar2cam=move(number, np.array(camera['lidar2cam'])).tolist())
             for number, camera in enumerate(truth['cameras'])]
    (root / name).write_text(yaml.safe_dump(dict(truth, cameras=moved)))
    return root / name


def apart(number, pose):
    """Each camera 2 deg and 0.2 m off, about other axes."""
    about, along = ((1, -1, 0), (0, 1, 1), (-1, 0, 1)), ((1, 0, 1), (-1, 1, 0), (0, 1, -1))
    return off_by(pose, np.sqrt(2) * np.array(about[number]), 0.1 * np.sqrt(2) * np.array(
        along[number]))


def test_what_the_rig_is(rig):
    root, content = rig
    cameras = poses(content)
    ahead = {name: pose[:3, :3].T @ [0, 0, 1] for name, pose in cameras.items()}
    assert ahead['front'][0] > 0.99 and ahead['back'][0] < -0.99
    up = cameras['front'][:3, :3].T @ [0, -1, 0]
    assert up[2] < -0.99  # the z axis of the LiDAR points down
    points = np.fromfile(root / 'lidar/000000.bin', np.float32).reshape(-1, 4)
    assert np.percentile(points[:, 2], 95) == pytest.approx(1.73, abs=0.2)  # the ground


def test_each_camera_in_one_call(rig, call, tmp_path):
    guess, truth = write_guess(rig, 'apart.yaml', apart), poses(rig[1])
    code, printed = call(guess, '--check')
    assert code == 1 and printed.count('the calibration is OFF') == 3, printed
    code, printed = call(guess, '--refine', '--out', tmp_path)
    assert code == 0, printed
    assert 'front and right, which see' in printed and 'back and' not in printed
    for name, pose in poses(read(tmp_path / 'rig.yaml')).items():
        rotation, translation = pose_difference(pose, truth[name])
        assert rotation < 0.3 and translation < 0.1, (name, rotation, translation)
        written = read(tmp_path / name / 'extrinsics.yaml')
        assert written['reliable'] and written['lidar2cam'] == pose.tolist()
        assert (tmp_path / name / 'refinement.png').is_file()


def test_a_rigid_rig_is_refined_as_one_body(rig, call, tmp_path):
    first = poses(rig[1])['front']
    motion = np.linalg.inv(first) @ apart(0, first)  # of the LiDAR
    guess = write_guess(rig, 'moved.yaml', lambda number, pose: pose @ motion)
    code, printed = call(guess, '--refine', '--rigid', '--out', tmp_path)
    assert code == 0 and (tmp_path / 'refinement.png').is_file(), printed
    found, truth = poses(read(tmp_path / 'rig.yaml')), poses(rig[1])
    for name, pose in found.items():
        rotation, translation = pose_difference(pose, truth[name])
        assert rotation < 0.2 and translation < 0.06, (name, rotation, translation)
        np.testing.assert_allclose(pose @ np.linalg.inv(found['front']),
                                   truth[name] @ np.linalg.inv(first), atol=1e-9)
        written = read(tmp_path / name / 'extrinsics.yaml')
        assert written['reliable'] and len(written['pairs']) == NUM_FRAMES
        assert all(pair.startswith(f'{name}/') for pair in written['pairs'])
    code, printed = call(tmp_path / 'rig.yaml', '--check', '--rigid')
    assert code == 0 and 'cameras front, right, back: the calibration is good' in printed, printed


def test_wrong_relative_poses_are_not_reliable(rig, call, tmp_path):
    guess = write_guess(rig, 'apart.yaml', apart)
    code, printed = call(guess, '--refine', '--rigid', '--out', tmp_path)
    assert code == 1 and 'guess kept: ' in printed and 'agree' in printed, printed
    kept = poses(read(tmp_path / 'rig.yaml'))
    for name, pose in poses(read(guess)).items():
        np.testing.assert_allclose(kept[name], pose, atol=1e-9)


def test_words_that_do_not_fit_a_rig(rig, call, tmp_path):
    path = rig[0] / 'rig.yaml'
    assert call(path)[0] == 2 and call(path, '--check', '--refine', '--out', tmp_path)[0] == 2
    assert call(tmp_path, tmp_path, '--initial', 'x.yaml', '--check', '--rigid')[0] == 2
    (tmp_path / 'rig.yaml').write_text('cameras: []')
    assert call(tmp_path / 'rig.yaml', '--check')[0] == 2


def test_scans_are_shifted_among_the_frames_of_a_camera():
    pose, beside = true_pose(), off_by(np.eye(4), [0, 2, 0], [0.2, 0, 0])
    image, points = make_frame(0, pose)
    intrinsics = Intrinsics(CAM2IMG, image_size=(WIDTH, HEIGHT))
    pairs = [Pair(image, points, intrinsics, ref2cam=ref2cam)
             for _ in range(3) for ref2cam in (np.eye(4), beside)]
    score = joint_search.JointScore(pairs, pose, (1., 0.1))
    for shift, frames in ((1, [(0, 2), (1, 3), (2, 4), (3, 5)]), (-2, [(4, 0), (5, 1)]), (3, [])):
        assert sorted(zip(*score.shifted(shift))) == frames
    # The other camera sees what the first one sees from where it is.
    offset = np.array([[0.01, 0, 0, 0, 0.1, 0]])
    values = score.about(np.zeros(6))(offset).reshape(6, -1).sum(1)
    alone = joint_search.JointScore([Pair(image, points, intrinsics)], beside @ pose, (1., 0.1))
    moved = beside @ joint_search.move(pose, offset)[0]
    scorer = alone.frames[0].about(beside @ pose, *joint_search.FINE, alone.num_parts)
    expected = scorer(torch.from_numpy(moved[None])).sum()
    assert values[1::2] == pytest.approx(float(expected), abs=1e-3)
    assert values[0] != pytest.approx(values[1], abs=0.1)


@pytest.mark.parametrize('degrees, misplaced', [([0, 0, 0], None), ([2, -2, 1], 1)])
def test_a_camera_that_does_not_agree_with_the_others_is_found(degrees, misplaced):
    pose, beside = true_pose(), off_by(np.eye(4), [0, 2, 0], [0.2, 0, 0])
    stated = off_by(beside, degrees, [0, 0, 0])
    intrinsics = Intrinsics(CAM2IMG, image_size=(WIDTH, HEIGHT))
    cameras = 2 * [(np.eye(4), np.eye(4)), (beside, stated)]
    pairs = [Pair(*make_frame(seed, ref2cam @ pose), intrinsics, ref2cam=given)
             for seed, (ref2cam, given) in enumerate(cameras)]
    score = joint_search.JointScore(pairs, pose, (1., 0.1))
    assert find_misplaced(score, np.zeros(6)) == misplaced
    alone = joint_search.JointScore(pairs[:1], pose, (1., 0.1))
    assert find_misplaced(alone, np.array([0.1, 0, 0, 0, 0, 0])) is None  # no rig
