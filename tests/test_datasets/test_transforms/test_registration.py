"""The registration protocols' transforms."""
import copy

import numpy as np
import pytest

from nclr_plugin.datasets import (BrokenFrameError, RandomPlacement, SamplePoints, ScaleImages,
                                  TrimImages)
from nclr_plugin.models.voxelization import voxelize


def by_voxel(points, size):
    groups = {}
    for point in points:
        groups.setdefault(tuple(np.round(point[:3] / np.float32(size)).astype(int)), []).append(
            point)
    return {key: np.mean(group, 0) for key, group in groups.items()}


def test_one_point_a_voxel_is_the_mean(results):
    expected = by_voxel(results['points'], 1.5)
    found = SamplePoints(10000, 1.5)(results)['points']
    assert found.dtype == np.float32 and len(found) == len(expected) < 300
    for point in found:
        nearest = min(expected.values(), key=lambda mean: np.abs(mean - point).max())
        np.testing.assert_allclose(point, nearest, rtol=1e-5)


def test_so_many_are_drawn_and_depend_on_the_seed_alone(results):
    draws = []
    for seed in (0, 0, 1):
        again = copy.deepcopy(results)
        again['rng'] = np.random.default_rng(seed)
        draws.append(SamplePoints(20, 1.)(again)['points'])
    assert len(draws[0]) == 20
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_data_preprocessor_keeps_the_points(results):
    import torch
    points = SamplePoints(10000, 0.5)(results)['points']
    voxels = voxelize([torch.from_numpy(points)], (0.5, ) * 3)
    assert len(voxels.points) == len(points)
    distance = torch.cdist(voxels.points.double(), torch.from_numpy(points[:, :3]).double()).amin(1)
    assert distance.max() < 1e-4


def test_trimming_and_scaling_keep_points_on_their_pixels(results, check_blobs):
    sizes = [img.shape for img in results['imgs']]
    results = ScaleImages(1.5)(TrimImages(8)(results))
    assert [img.shape for img in results['imgs']] == [
        (round((height - 8) * 1.5), round(width * 1.5), 3) for height, width, _ in sizes]
    check_blobs(results)


def test_the_protocol_of_kitti_is_160_by_512():
    from nclr_plugin.datasets import CropImages
    results = dict(frame_id='f', imgs=[np.zeros((370, 1226, 3), np.uint8)],
                   cam2img=np.array([[[700., 0, 600], [0, 700, 180], [0, 0, 1]]]))
    results = CropImages((512, 160))(ScaleImages(0.5)(TrimImages(50)(results)))
    assert results['imgs'][0].shape == (160, 512, 3)
    left = (613 - 512) // 2
    np.testing.assert_allclose(
        results['cam2img'][0, :2, 2], [(600.5 * 0.5 - 0.5) - left, (130.5 * 0.5 - 0.5)])


def test_placement_along_the_cameras_axes(results, opencv_project):
    """The camera sees what it saw; in its frame the scan moved in x and z and turned about y."""
    before = copy.deepcopy(results)
    placed = RandomPlacement(yaw=6.28, translation=(10., 0., 10.), axes='camera')(results)
    for view in range(2):
        np.testing.assert_allclose(
            opencv_project(placed, placed['points'][:, :3])[view],
            opencv_project(before, before['points'][:, :3])[view], atol=0.01)
    camera = before['lidar2cam'][0]
    moved = camera @ placed['placement'] @ np.linalg.inv(camera)
    np.testing.assert_allclose(moved[1], [0, 1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(moved[:3, 1], [0, 1, 0], atol=1e-9)
    shift = moved[:3, :3].T @ moved[:3, 3]
    assert np.abs(shift).max() <= 10 and np.abs(shift[[0, 2]]).min() > 0.1


def test_wrong_settings_are_told(results):
    for make in (lambda: SamplePoints(0), lambda: TrimImages(-1), lambda: ScaleImages(0),
                 lambda: RandomPlacement(axes='world')):
        with pytest.raises(ValueError, match='expected'):
            make()
    with pytest.raises(BrokenFrameError, match='an image has 80 rows'):
        TrimImages(80)(results)
