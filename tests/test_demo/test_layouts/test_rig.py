"""The layout of a rig of one's own, read back as pretraining reads it."""
import numpy as np
import pytest

from nclr_plugin.datasets.readers.rig import RigReader
from nclr_plugin.demo.layouts.rig import CAMERAS


@pytest.fixture(scope='module')
def root(make_root):
    return make_root('rig')


def test_this_project_reads_it(root):
    frames = RigReader().read(str(root))
    assert len(frames) == 5 and frames[0]['intensity_scale'] == 1
    assert [image['name'] for image in frames[0]['images']] == list(CAMERAS)
    lists = [[frame['frame_id'] for frame in RigReader(frame_list=name).read(str(root))]
             for name in ('train.txt', 'val.txt')]
    assert lists == [['000000', '000001', '000002'], ['000003', '000004']]


def test_the_lidar_is_upside_down_and_one_camera_looks_backward(root):
    frame = RigReader().read(str(root))[0]
    front, _, back = (np.asarray(image['lidar2cam']) for image in frame['images'])
    for pose, ahead in ((front, [1, 0, 0]), (back, [-1, 0, 0])):
        assert pose[:3, :3].T @ [0, 0, 1] @ ahead > 0.99  # optical axis, LiDAR frame
        assert pose[:3, :3].T @ [0, 1, 0] @ [0, 0, 1] > 0.99  # down is up for the LiDAR
    points = np.fromfile(frame['lidar_path'], np.float32).reshape(-1, 4)
    near = points[np.hypot(*points[:, :2].T) < 10]
    assert np.percentile(near[:, 2], 90) == pytest.approx(1.73, abs=0.1)  # the ground
