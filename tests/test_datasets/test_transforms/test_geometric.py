"""The registration protocols' transforms."""
import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import TRANSFORMS
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets import (BrokenFrameError, CalibrationDataset, CropImages, CropPoints,
                                  CropTop, MixScans, PackCalibrationInputs, PointNoise,
                                  RandomRigidTransform, RandomSceneFlip, RescaleImages,
                                  ResizeImages, VoxelSample)
from nclr_plugin.geometry.camera import in_view, project_points
from nclr_plugin.geometry.scan_centre import scan_centre
from nclr_plugin.models.data_preprocessor import voxel_collate
from nclr_plugin.models.layers.voxelization import voxelize


def test_the_blob_starts_on_its_point(results, check_blobs):
    check_blobs(results)


# CropPoints

def test_range_crop_keeps_the_points_inside(results):
    low, high = (9, -1.5, -0.5), (15, 1, 0.7)
    before = results['points']
    kept = CropPoints(low + high)(results)['points']
    expected = [p for p in before if all(a <= c < b for a, c, b in zip(low, p[:3], high))]
    np.testing.assert_array_equal(kept, expected)
    assert 0 < len(kept) < len(before) and kept.dtype == np.float32


def test_range_crop_side_limits(results):
    results['points'] = np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float32)
    assert CropPoints((0, 0, 0, 1, 1, 1))(results)['points'].tolist() == [[0, 0, 0, 1]]


def test_range_crop_without_a_point_is_a_broken_frame(results):
    with pytest.raises(BrokenFrameError, match=r'00/000001.*scan.bin.*found none of its 300'):
        CropPoints((-9, -9, -9, -8, -8, -8))(results)


@pytest.mark.parametrize('limits', [(0, 0, 0, 1, 1), (0, 0, 0, 1, -1, 1)])
def test_range_crop_refuses_wrong_limits(limits):
    with pytest.raises(ValueError, match='each min < max'):
        CropPoints(limits)


# RandomRigidTransform

def test_rigid_transform_moves_points_and_extrinsics_by_equation_8(results):
    before = copy.deepcopy(results)
    rng = copy.deepcopy(results['rng'])
    after = RandomRigidTransform(yaw=np.pi, translation=(15, 10, 2))(results)
    yaw, shift = rng.uniform(-np.pi, np.pi), rng.uniform([-15, -10, -2], [15, 10, 2])
    R = Rotation.from_euler('z', yaw).as_matrix()
    np.testing.assert_allclose(after['points'][:, :3], (before['points'][:, :3] + shift) @ R.T,
                               atol=1e-5)
    np.testing.assert_array_equal(after['points'][:, 3], before['points'][:, 3])
    for raw, moved in zip(before['lidar2cam'], after['lidar2cam']):
        np.testing.assert_allclose(moved[:3, :3], raw[:3, :3] @ np.linalg.inv(R), atol=1e-12)
        np.testing.assert_allclose(moved[:3, 3], raw[:3, 3] - raw[:3, :3] @ shift, atol=1e-12)
    assert after['points'].dtype == np.float32 and after['lidar2cam'].dtype == np.float64


def test_rigid_transform_matrix_takes_old_points_to_new(results, check_blobs):
    before = copy.deepcopy(results)
    after = RandomRigidTransform()(RandomRigidTransform()(results))
    transform = after['rigid_transform']
    moved = before['points'][:, :3] @ transform[:3, :3].T + transform[:3, 3]
    np.testing.assert_allclose(after['points'][:, :3], moved, atol=2e-5)
    # The calibration before random transform is lidar2cam @ rigid_transform.
    np.testing.assert_allclose(after['lidar2cam'] @ after['rigid_transform'], before['lidar2cam'],
                               atol=1e-12)
    check_blobs(after)


def test_rigid_transform_is_uniform_over_its_range(results):
    transform = RandomRigidTransform(yaw=0.5, translation=(15, 4, 0))
    yaws, shifts = [], []
    for seed in range(400):
        sample = dict(results, points=np.zeros((1, 3), np.float32), rng=np.random.default_rng(seed))
        rigid_transform = transform(sample)['rigid_transform']
        yaws.append(np.arctan2(rigid_transform[1, 0], rigid_transform[0, 0]))
        shifts.append(rigid_transform[:3, :3].T @ rigid_transform[:3, 3])
    yaws, shifts = np.array(yaws), np.array(shifts)
    assert np.abs(yaws).max() <= 0.5 and np.abs(yaws).max() > 0.48
    assert (np.abs(shifts).max(axis=0) <= [15, 4, 1e-12]).all()
    # The spread of a uniform variable is its half width over the square root of 3.
    np.testing.assert_allclose(yaws.std(), 0.5 / np.sqrt(3), rtol=0.1)
    np.testing.assert_allclose(shifts.std(axis=0)[:2], np.array([15, 4]) / np.sqrt(3), rtol=0.1)


def test_rigid_transform_depends_on_the_generator_alone(results):
    transform = TRANSFORMS.build(dict(type='RandomRigidTransform'))
    first, again, other = (
        transform(dict(copy.deepcopy(results), rng=np.random.default_rng(seed)))['points']
        for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_rigid_transform_leaves_the_loaded_array_alone(results):
    points, copied = results['points'], results['points'].copy()
    RandomRigidTransform()(results)
    np.testing.assert_array_equal(points, copied)


@pytest.mark.parametrize('kwargs', [dict(yaw=-1), dict(translation=(1, 2)),
                                    dict(translation=(1, -2, 0))])
def test_rigid_transform_refuses_wrong_ranges(kwargs):
    with pytest.raises(ValueError, match='expected yaw >= 0'):
        RandomRigidTransform(**kwargs)


# MixScans

class Frames:
    """A data set of one other scan, all around the sensor."""
    num_frames = 1

    def __init__(self, broken=False):
        rng = np.random.default_rng(3)
        angle, radius = rng.uniform(-np.pi, np.pi, 4000), rng.uniform(5, 40, 4000)
        self.points = np.stack((radius * np.cos(angle), radius * np.sin(angle),
                                rng.uniform(-2, 2, 4000), rng.uniform(0, 1, 4000)),
                               1).astype(np.float32)
        self.broken = broken

    def get_data_info(self, index):
        assert index == 0
        return dict(other=self)

    def load(self, results):
        if results['other'].broken:
            raise BrokenFrameError('other', 'no scan')
        return dict(points=results['other'].points)


def degrees_beside(results, points):
    """Angle (N,) between points and the nearest image, horizontally; OpenCV and brute force."""
    nearest = np.full(len(points), np.inf)
    for img, cam2img, lidar2cam in zip(results['imgs'], results['cam2img'], results['lidar2cam']):
        in_camera = points[:, :3].astype(float) @ lidar2cam[:3, :3].T + lidar2cam[:3, 3]
        angle = np.degrees(np.arctan2(in_camera[:, 0], in_camera[:, 2]))
        edges = cv2.undistortPoints(np.array([[[0., cam2img[1, 2]]],
                                              [[img.shape[1] - 1, cam2img[1, 2]]]]), cam2img, None)
        left, right = np.degrees(np.arctan(edges[:, 0, 0]))
        nearest = np.minimum(nearest, np.maximum(left - angle, angle - right))
    return nearest


def test_mixed_scans_are_their_own_in_view_and_another_elsewhere(results):
    frames = Frames()
    own = np.concatenate((results['points'], np.roll(frames.points, 1, 1)))
    results.update(points=own, dataset=frames)
    mixed = MixScans([frames.load], prob=1., margin_deg=5.)(results)['points']
    assert mixed.dtype == np.float32
    is_own = (mixed[:, None] == own[None]).all(2).any(1)
    beside = degrees_beside(results, own)
    kept = (own[:, None] == mixed[None, is_own]).all(2).any(1)
    assert kept[beside < 4.9].all() and not kept[beside > 5.1].any()
    assert 0 < kept.sum() < len(own)
    assert (degrees_beside(results, mixed[~is_own]) > 4.9).all()
    # The others are turned about z by one angle.
    given = {tuple(row[2:]): row for row in frames.points}
    before = np.array([given[tuple(row[2:])] for row in mixed[~is_own]])
    turn = [np.arctan2(*points[:, 1::-1].T) for points in (mixed[~is_own], before)]
    turn = np.exp(1j * (turn[0] - turn[1]))
    np.testing.assert_allclose(turn, turn[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(mixed[~is_own, :2], axis=1),
                               np.linalg.norm(before[:, :2], axis=1), rtol=1e-5)
    assert len(before) > 1000 and abs(np.angle(turn[0])) > 0.01


def test_mixing_depends_on_the_generator_alone(results):
    frames = Frames()
    results['dataset'] = frames
    transform = MixScans([frames.load], prob=0.5)
    draws = [transform(dict(results, rng=np.random.default_rng(seed)))['points']
             for seed in [*range(40), 7]]
    np.testing.assert_array_equal(draws[7], draws[-1])
    mixed = [len(points) != len(results['points']) for points in draws[:-1]]
    assert 10 < sum(mixed) < 30
    assert len({len(points) for points in draws}) > 10  # by other angles


def test_a_broken_other_scan_is_not_mixed(results):
    frames = Frames(broken=True)
    results['dataset'] = frames
    before = results['points'].copy()
    np.testing.assert_array_equal(MixScans([frames.load], prob=1.)(results)['points'], before)
    frames.get_data_info = lambda index: dict(frame_id='other', broken='no file')  # as listed
    np.testing.assert_array_equal(MixScans([frames.load], prob=1.)(results)['points'], before)


def test_mixing_refuses_wrong_arguments():
    for options in (dict(prob=1.5), dict(prob=-0.1), dict(margin_deg=-1.)):
        with pytest.raises(ValueError, match='MixScans: expected prob'):
            MixScans([], **options)


def test_mixing_at_a_wrong_place_is_refused(results):
    frames = Frames()
    mix = MixScans([frames.load], prob=1.)
    results['dataset'] = frames
    moved = RandomRigidTransform()(dict(results))
    without = {key: value for key, value in results.items() if key != 'imgs'}
    for wrong in (moved, without):
        with pytest.raises(ValueError, match='after LoadImages and before RandomRigidTransform'):
            mix(wrong)
    frames.points = frames.points[:, :3]
    with pytest.raises(ValueError, match='as many columns, found 4 and 3'):
        mix(results)


def test_the_other_scan_may_be_augmented(results):
    frames = Frames()
    results['dataset'] = frames
    frames.load = lambda other: dict(other, points=frames.points)
    before = frames.points.copy()
    mixed = MixScans([frames.load, PointNoise(0.1)], prob=1.)(results)['points']
    heights = np.isin(mixed[:, 2], before[:, 2])
    assert 1000 < (~heights).sum() < len(before) and np.isfinite(mixed).all()


def test_mixed_real_frames_keep_what_the_image_shows(shared_data):
    load = [dict(type='LoadPoints'), dict(type='LoadImages')]
    pack = dict(type='PackCalibrationInputs')
    mix = dict(type='MixScans', pre_transform=load[:1], prob=1., margin_deg=0.)
    plain, mixed = (
        CalibrationDataset(str(shared_data / 'kitti_object'), dict(type='KittiObjectReader'),
                           [*load, *steps, pack]) for steps in ([], [mix]))
    for index in range(2):
        first, second, again = plain[index], mixed[index], mixed[index]
        assert torch.equal(second['inputs']['points'], again['inputs']['points'])
        sample = first['data_samples']
        shown = []
        for points in (first['inputs']['points'], second['inputs']['points']):
            pixels, depth = project_points(points[:, :3].double(), sample.lidar2cam[0],
                                           sample.cam2img[0])
            mask = in_view(pixels, depth, *first['inputs']['imgs'].shape[-2:])
            shown.append(points[mask])
        assert torch.equal(*shown) and len(shown[0]) > 1000
        assert len(second['inputs']['points']) != len(first['inputs']['points'])


# ResizeImages

@pytest.mark.parametrize('size', [(80, 48), (240, 150), (100, 160)])
def test_resize_keeps_the_point_on_its_blob(results, check_blobs, size):
    after = ResizeImages(size)(results)
    assert [img.shape for img in after['imgs']] == [(size[1], size[0], 3)] * 2
    check_blobs(after)


def test_resize_holds_to_pixel_centres(results):
    # In a ramp, the value at a pixel tells where it was in the old image.
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 60, axis=0)
    results['imgs'] = [np.dstack([ramp] * 3)] * 2
    old = results['cam2img'].copy()
    after = ResizeImages((60, 30))(results)
    source = after['imgs'][0][3, 5:-5, 0] / 2
    centre_of_cell = (np.arange(60)[5:-5] + 0.5) * 2 - 0.5
    np.testing.assert_allclose(source, centre_of_cell, atol=0.5)
    expected = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]]) @ old
    np.testing.assert_allclose(after['cam2img'], expected)


@pytest.mark.parametrize('size', [(0, 5), (5, ), (4.5, 3)])
@pytest.mark.parametrize('transform', [ResizeImages, CropImages])
def test_sizes_are_whole_pixels(transform, size):
    with pytest.raises(ValueError, match=r'expected size \(width, height\)'):
        transform(size)


# CropImages

@pytest.mark.parametrize('random', [False, True])
def test_crop_keeps_the_point_on_its_blob(results, check_blobs, random):
    after = CropImages((118, 77), random=random)(results)
    assert [img.shape for img in after['imgs']] == [(77, 118, 3)] * 2
    # The windows still hold (nearly) all of the blobs.
    check_blobs(after, tolerance=0.2)


def test_crop_in_the_middle(results):
    img, cam2img = results['imgs'][0].copy(), results['cam2img'].copy()
    after = CropImages((100, 40))(results)
    np.testing.assert_array_equal(after['imgs'][0], img[28:68, 30:130])
    np.testing.assert_allclose(cam2img[0] - after['cam2img'][0], [[0, 0, 30], [0, 0, 28], [0] * 3])


def test_random_crops_reach_every_window(results):
    windows = set()
    for seed in range(200):
        after = CropImages((158, 95), random=True)(
            dict(results, imgs=results['imgs'][:1], cam2img=results['cam2img'][:1],
                 rng=np.random.default_rng(seed)))
        windows.add(tuple((results['cam2img'][0] - after['cam2img'][0])[:2, 2]))
    assert windows == {(left, top) for left in range(3) for top in range(2)}


def test_crop_refuses_a_window_larger_than_the_image(results):
    with pytest.raises(BrokenFrameError, match='130 x 40 does not fit into an image of 120 x 80'):
        CropImages((130, 40))(results)


# RandomSceneFlip

def test_flip_mirrors_everything_together(results, check_blobs, opencv_project):
    before = copy.deepcopy(results)
    after = RandomSceneFlip(prob=1)(results)
    check_blobs(after)
    for view, img in enumerate(before['imgs']):
        np.testing.assert_array_equal(after['imgs'][view], cv2.flip(img, 1))
    widths = np.array([img.shape[1] for img in before['imgs']])
    old = opencv_project(before, before['points'][:, :3])
    new = opencv_project(after, after['points'][:, :3])
    np.testing.assert_allclose(new[..., 0], widths[:, None] - 1 - old[..., 0], atol=1e-4)
    np.testing.assert_allclose(new[..., 1], old[..., 1], atol=1e-4)
    np.testing.assert_allclose(after['points'], before['points'] * [1, -1, 1, 1])
    np.testing.assert_allclose(np.linalg.det(after['lidar2cam'][:, :3, :3]), 1)


def test_flip_twice_is_nothing(results):
    before = copy.deepcopy(results)
    after = RandomSceneFlip(prob=1)(RandomSceneFlip(prob=1)(results))
    for key in ('points', 'cam2img', 'lidar2cam'):
        np.testing.assert_allclose(after[key], before[key])
    np.testing.assert_array_equal(after['imgs'][0], before['imgs'][0])


def test_flip_before_or_after_rigid_transform_leaves_a_true_rigid_transform(results):
    placed = RandomRigidTransform()(copy.deepcopy(results))
    flipped_raw = RandomSceneFlip(prob=1)(copy.deepcopy(results))
    after = RandomSceneFlip(prob=1)(placed)
    transform = after['rigid_transform']
    moved = flipped_raw['points'][:, :3] @ transform[:3, :3].T + transform[:3, 3]
    np.testing.assert_allclose(after['points'][:, :3], moved, atol=1e-5)
    np.testing.assert_allclose(after['lidar2cam'] @ transform, flipped_raw['lidar2cam'], atol=1e-12)
    assert 'rigid_transform' not in flipped_raw


def test_flip_happens_with_its_probability(results):
    flips = sum(
        RandomSceneFlip(prob=0.3)(dict(results, rng=np.random.default_rng(seed)))
        ['points'][0, 1] != results['points'][0, 1] for seed in range(300))
    assert 60 < flips < 120
    with pytest.raises(ValueError, match='prob in'):
        RandomSceneFlip(prob=1.5)


# Together

def test_a_whole_chain_keeps_the_point_on_its_blob(results, check_blobs):
    for transform in (RandomRigidTransform(), ResizeImages((150, 90)), CropImages((140, 84)),
                      RandomSceneFlip(prob=1), RandomRigidTransform(yaw=0.3)):
        results = transform(results)
    check_blobs(results, tolerance=0.2)


def by_voxel(points, size):
    groups = {}
    for point in points:
        groups.setdefault(tuple(np.round(point[:3] / np.float32(size)).astype(int)), []).append(
            point)
    return {key: np.mean(group, 0) for key, group in groups.items()}


def test_one_point_a_voxel_is_the_mean(results):
    expected = by_voxel(results['points'], 1.5)
    found = VoxelSample(10000, 1.5)(results)['points']
    assert found.dtype == np.float32 and len(found) == len(expected) < 300
    for point in found:
        nearest = min(expected.values(), key=lambda mean: np.abs(mean - point).max())
        np.testing.assert_allclose(point, nearest, rtol=1e-5)


def test_so_many_are_drawn_and_depend_on_the_seed_alone(results):
    draws = []
    for seed in (0, 0, 1):
        again = copy.deepcopy(results)
        again['rng'] = np.random.default_rng(seed)
        draws.append(VoxelSample(20, 1.)(again)['points'])
    assert len(draws[0]) == 20
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_centre_is_that_of_the_whole_scan_and_is_mirrored_with_it(results):
    expected = scan_centre(torch.from_numpy(results['points'])).numpy()
    sampled = VoxelSample(20, 1.5)(results)
    np.testing.assert_array_equal(sampled['scan_centre'], expected)
    mirrored = RandomSceneFlip(1.)(sampled)
    np.testing.assert_array_equal(mirrored['scan_centre'], expected * [1, -1, 1])
    moved = RandomRigidTransform()(copy.deepcopy(sampled))
    rotation, translation = np.split(moved['rigid_transform'][:3], [3], 1)
    np.testing.assert_allclose(
        moved['scan_centre'], rotation @ (expected * [1, -1, 1]) + translation[:, 0], atol=1e-4)
    packed = PackCalibrationInputs()(ResizeImages((80, 40))(mirrored))
    voxels = voxel_collate([packed], (1.5, ) * 3)['inputs']['voxels']
    np.testing.assert_allclose(voxels.centre[0], expected * [1, -1, 1], rtol=1e-5)


def test_the_data_preprocessor_keeps_the_points(results):
    points = VoxelSample(10000, 0.5)(results)['points']
    voxels = voxelize([torch.from_numpy(points)], (0.5, ) * 3)
    assert len(voxels.points) == len(points)
    distance = torch.cdist(voxels.points.double(), torch.from_numpy(points[:, :3]).double()).amin(1)
    assert distance.max() < 1e-4


def test_trimming_and_scaling_keep_points_on_their_pixels(results, check_blobs):
    sizes = [img.shape for img in results['imgs']]
    results = RescaleImages(1.5)(CropTop(8)(results))
    assert [img.shape for img in results['imgs']] == [
        (round((height - 8) * 1.5), round(width * 1.5), 3) for height, width, _ in sizes]
    check_blobs(results)


def test_the_protocol_of_kitti_is_160_by_512():
    from nclr_plugin.datasets import CropImages
    results = dict(frame_id='f', imgs=[np.zeros((370, 1226, 3), np.uint8)],
                   cam2img=np.array([[[700., 0, 600], [0, 700, 180], [0, 0, 1]]]))
    results = CropImages((512, 160))(RescaleImages(0.5)(CropTop(50)(results)))
    assert results['imgs'][0].shape == (160, 512, 3)
    left = (613 - 512) // 2
    np.testing.assert_allclose(
        results['cam2img'][0, :2, 2], [(600.5 * 0.5 - 0.5) - left, (130.5 * 0.5 - 0.5)])


def test_rigid_transform_along_the_cameras_axes(results, opencv_project):
    """The camera sees what it saw; in its frame the scan moved in x and z and turned about y."""
    before = copy.deepcopy(results)
    placed = RandomRigidTransform(yaw=6.28, translation=(10., 0., 10.), axes='camera')(results)
    for view in range(2):
        np.testing.assert_allclose(
            opencv_project(placed, placed['points'][:, :3])[view],
            opencv_project(before, before['points'][:, :3])[view], atol=0.01)
    camera = before['lidar2cam'][0]
    moved = camera @ placed['rigid_transform'] @ np.linalg.inv(camera)
    np.testing.assert_allclose(moved[1], [0, 1, 0, 0], atol=1e-9)
    np.testing.assert_allclose(moved[:3, 1], [0, 1, 0], atol=1e-9)
    shift = moved[:3, :3].T @ moved[:3, 3]
    assert np.abs(shift).max() <= 10 and np.abs(shift[[0, 2]]).min() > 0.1


def test_wrong_settings_are_told(results):
    for make in (lambda: VoxelSample(0), lambda: CropTop(-1), lambda: RescaleImages(0),
                 lambda: RandomRigidTransform(axes='world')):
        with pytest.raises(ValueError, match='expected'):
            make()
    with pytest.raises(BrokenFrameError, match='an image has 80 rows'):
        CropTop(80)(results)
