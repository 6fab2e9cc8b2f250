import numpy as np
import pytest
import torch

from nclr_plugin.datasets import BrokenFrameError, PackCalibrationInputs, ResizeImages


@pytest.fixture
def same_size(results):
    return ResizeImages((100, 60))(results)


def test_packs_tensors_and_meta_information(same_size):
    same_size['rigid_transform'] = np.diag([1., 1, 1, 1]) * 2
    same_size['skipped_frames'] = [('00/000000', 'gone')]
    packed = PackCalibrationInputs()(same_size)
    points, imgs = packed['inputs']['points'], packed['inputs']['imgs']
    assert points.dtype == torch.float32 and points.shape == (300, 4)
    np.testing.assert_array_equal(points, same_size['points'])
    assert imgs.dtype == torch.uint8 and imgs.shape == (2, 3, 60, 100) and imgs.is_contiguous()
    np.testing.assert_array_equal(imgs[1].permute(1, 2, 0), same_size['imgs'][1])
    sample = packed['data_samples']
    assert sample.lidar2cam.dtype == sample.cam2img.dtype == torch.float64
    np.testing.assert_array_equal(sample.lidar2cam, same_size['lidar2cam'])
    np.testing.assert_array_equal(sample.cam2img, same_size['cam2img'])
    assert (sample.frame_id, sample.lidar_path) == ('00/000001', 'scan.bin')
    assert sample.view_names == ['left', 'right'] and sample.img_paths == ['left.png', 'right.png']
    assert sample.rigid_transform[0, 0] == 2 and sample.skipped_frames == [('00/000000', 'gone')]


def test_without_rigid_transform_it_is_the_identity(same_size):
    sample = PackCalibrationInputs()(same_size)['data_samples']
    np.testing.assert_array_equal(sample.rigid_transform, np.eye(4))
    assert sample.skipped_frames == []


def test_control_is_marked_and_names_the_image_that_is_shown(same_size):
    assert PackCalibrationInputs()(same_size)['data_samples'].mismatched_image is False
    same_size['mismatched_image'] = True
    same_size['images'][1]['replaced_by'] = dict(img_path='other.png')
    sample = PackCalibrationInputs()(same_size)['data_samples']
    assert sample.mismatched_image is True and sample.img_paths == ['left.png', 'other.png']


def test_visible_points_are_counted_over_all_views(same_size, opencv_project):
    points = np.random.default_rng(3).uniform([-20, -20, -3, 0], [20, 20, 3, 1], (400, 4))
    same_size['points'] = points.astype(np.float32)
    # The second camera looks back.
    same_size['lidar2cam'][1] = np.diag([-1, 1, -1, 1]) @ same_size['lidar2cam'][1]
    pixels = opencv_project(same_size, points[:, :3])
    depth = np.stack([(T @ np.column_stack([points[:, :3], np.ones(400)]).T)[2]
                      for T in same_size['lidar2cam']])
    inside = (depth > 0.1) & ((pixels >= -0.5) & (pixels < [99.5, 59.5])).all(-1)
    visible = int(inside.any(axis=0).sum())
    assert 0 < visible < 400 and visible > inside.sum(axis=1).max()
    PackCalibrationInputs(min_visible_points=visible)(same_size)
    with pytest.raises(BrokenFrameError,
                       match=f'at least {visible + 1} points .*, found {visible} of 400'):
        PackCalibrationInputs(min_visible_points=visible + 1)(same_size)


def test_scan_with_no_point_in_any_camera_is_a_broken_frame(same_size):
    same_size['points'][:, 0] -= 100
    with pytest.raises(BrokenFrameError, match=r"00/000001: scan 'scan.bin'.*found 0 of 300"):
        PackCalibrationInputs()(same_size)


def test_one_point_in_view_is_enough_by_default(same_size):
    same_size['points'][:, 0] -= 100
    same_size['points'][7, 0] += 100
    assert len(PackCalibrationInputs()(same_size)['inputs']['points']) == 300


def test_images_of_different_sizes_are_refused(results):
    with pytest.raises(ValueError, match=r'00/000001 has images of different sizes.*ResizeImages'):
        PackCalibrationInputs()(results)
