"""Several readers as one."""
import shutil

import pytest
from mmengine.registry import TASK_UTILS

import nclr_plugin  # noqa: F401


def test_frames_of_all_parts_one_after_another(kitti_odometry, tmp_path):
    other = tmp_path / 'other'
    shutil.copytree(kitti_odometry.root / 'sequences', other / 'sequences')

    def part(root, sequence, frame_list=None):
        return dict(data_root=str(root), reader=dict(
            type='KittiOdometryReader', sequences=[sequence], frame_list=frame_list))

    reader = TASK_UTILS.build(dict(type='ConcatReader', parts=[
        part(kitti_odometry.root, '01'), part(other, '00', ['00/000002', '00/000000'])]))
    frames = reader.read(data_root='anywhere')
    assert [frame['frame_id'] for frame in frames] == [
        '01/000000', '01/000001', '00/000002', '00/000000']
    assert frames[2]['lidar_path'].startswith(str(other))


def test_relative_roots_are_below_the_data_root(kitti_odometry, tmp_path):
    part = dict(data_root=kitti_odometry.root.name,
                reader=dict(type='KittiOdometryReader', sequences=['01']))
    reader = TASK_UTILS.build(dict(type='ConcatReader', parts=[part]))
    assert len(reader.read(str(kitti_odometry.root.parent))) == 2
    with pytest.raises(FileNotFoundError, match='nowhere'):
        reader.read(str(tmp_path / 'nowhere'))
