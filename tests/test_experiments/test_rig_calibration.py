"""Tables about refined and checked poses, on real frames."""
import numpy as np
import pytest

from nclr_plugin.apis import Calibration, joint_search
from nclr_plugin.apis.joint_search import move
from nclr_plugin.demo import DemoOptions, generate
from nclr_plugin.errors import DataLayoutError
from nclr_plugin.experiments.rig_calibration import (RigFrames, check_rows, confirmation_rows,
                                                     load_single, network_rows, part_rows,
                                                     refinement_rows)

pytestmark = pytest.mark.slow


@pytest.fixture
def frames(shared_data):
    return RigFrames([str(shared_data / 'kitti_object')])


def test_frames_of_one_calibration(frames, shared_data):
    names = [frame['frame_id'] for frame in frames.frames]
    assert len(names) == 17 and not {'000000', '000006', '000015'} & set(names)
    only = RigFrames([str(shared_data / 'kitti_object')], {'000001', '000006'})
    assert len(only) == 1
    with pytest.raises(DataLayoutError, match='found none of the list'):
        RigFrames([str(shared_data / 'kitti_object')], {'nothing'})


def test_scores_of_the_true_pose_are_compared(frames):
    rows = part_rows(frames, 3)
    assert [row['frames'] for row in rows] == ['1', '5'] * 5
    assert [row['score'] for row in rows[::2]] == [
        'jumps of depth', 'reflectance edges', 'both (used)', 'rank correlation of differences',
        'normalised information distance']
    for row in rows:
        assert 0 < float(row['half height, deg']) < 4 and 0 < float(row['half height, m']) < 0.5
        assert {'0.1 deg', '4 deg', '0.02 m', '0.5 m'} < set(row)
    assert all(50 < int(row['1 deg']) <= 100 for row in rows[1::2])


def test_refined_and_checked_poses_are_counted(frames, monkeypatch):
    monkeypatch.setattr(joint_search, 'LEVELS', ((3., 50, 1, 50, 5), ))
    monkeypatch.setattr(joint_search, 'LAST', (0.7, 100, 1, 30, 5))
    lines = []
    row, = refinement_rows(frames, 2, 1, 1., 0.1, lines.append)
    assert row['frames'] == '2' and row['draws'] == '1' and row['called reliable'] == '0'
    assert row['largest of these'] == '-'
    assert row['worse than the guess by at most'] == '0.00 deg, 0.00 m'
    area, counts = check_rows(frames, 1, 2, lines.append)
    assert {'0.25 deg', '2 deg', '0.05 m', '0.2 m'} < set(area) == set(counts)
    assert 0 <= float(area['2 deg']) <= 1
    assert [sum(map(int, counts[name].split('/'))) for name in ('right', '2 deg')] == [2, 2]
    assert counts['right'].endswith(' / 0')  # one frame confirms nothing
    assert len(lines) == 1 + 2 * 8 and all('draw' in line for line in lines)


def test_poses_of_a_network_are_counted(frames, monkeypatch):
    monkeypatch.setattr(joint_search, 'MAX_EFFORT', 1.)
    off = move(frames.lidar2cam, np.array([[0.01, -0.01, 0.01, 0.1, 0., 0.1]]))[0]

    def network(image, points, cam2img):
        return Calibration(off, True, False, 0.9, 0.1, 1., 1., np.eye(6), None, None, None, None)

    lines = []
    right, exchanged = network_rows(frames, network, 8, 1, lines.append)
    assert (right['called reliable'], exchanged['called reliable']) == ('1', '0')
    assert right['network, median'] == exchanged['network, median'] == '0.99 deg, 0.14 m'
    rotation, translation = (float(word.split()[0])
                             for word in right['largest of these'].split(', '))
    assert rotation < 0.5 and translation < 0.15 and exchanged['largest of these'] == '-'
    assert 'NOT RELIABLE' in lines[1] and 'images exchanged' in lines[1]
    nothing, _ = network_rows(frames, lambda *_: network(*_)._replace(valid=False), 4, 1,
                              lines.append)
    assert nothing['called reliable'] == '0' and 'found no pose' in lines[-1]


@pytest.mark.parametrize('intensities', [True, False])
def test_confirmed_poses_are_counted(shared_data, monkeypatch, intensities):
    monkeypatch.setattr(joint_search, 'MAX_EFFORT', 1.)
    pairs = load_single([str(shared_data / 'kitti_object')], {'000001', '000010'}, 2)
    lines = []
    rows = confirmation_rows(pairs, lines.append, intensities)
    assert [row['poses'] for row in rows] == ['near', 'other image', 'far'] and len(lines) == 6
    assert [row['number'] for row in rows] == ['2'] * 3
    confirmed = sum(': CONFIRMED' in line for line in lines)
    assert sum(int(row['confirmed']) for row in rows) == confirmed
    assert rows[1]['confirmed'] == rows[2]['confirmed'] == '0' and rows[2]['largest'] == '-'


def test_single_pairs_of_a_rig(tmp_path):
    generate(str(tmp_path / 'rig'), 'rig', DemoOptions(
        scenes=1, image_size=(64, 32), azimuths=90))
    pairs = load_single([str(tmp_path / 'rig/rig.yaml')], None, 2)
    assert [pair.name for pair, _ in pairs] == ['front/000000', 'right/000000']
    assert pairs[0][1].shape == (4, 4) and not (pairs[0][1] == pairs[1][1]).all()
