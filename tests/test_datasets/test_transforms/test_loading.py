"""Loading and packing; sweeps against the nuScenes devkit's, through infos as mmdet3d writes."""
import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets import (AccumulateSweeps, BrokenFrameError, LoadImages, LoadPoints,
                                  NuScenesReader, PackCalibrationInputs, ResizeImages)


def scan(path, lidar_dim=4, **kwargs):
    return dict(frame_id='00/000007', lidar_path=str(path), lidar_dim=lidar_dim, **kwargs)


def image(path, **kwargs):
    return dict(frame_id='00/000007', images=[
        dict(name='front', img_path=str(path), cam2img=np.eye(3), lidar2cam=np.eye(4), **kwargs)])


# LoadPoints

def test_scan_is_what_was_written(tmp_path, disk):
    points = disk.write_scan(tmp_path / 'a.bin')
    found = LoadPoints()(scan(tmp_path / 'a.bin'))['points']
    np.testing.assert_array_equal(found, points)
    assert found.dtype == np.float32 and found.flags.writeable


def test_columns_are_cut_and_intensity_scaled(tmp_path, disk):
    points = disk.write_scan(tmp_path / 'a.bin', dim=5)
    points[:, 3] *= 255
    points.tofile(tmp_path / 'a.bin')
    found = LoadPoints()(scan(tmp_path / 'a.bin', 5, intensity_scale=1 / 255))['points']
    np.testing.assert_allclose(found, points[:, :4] * [1, 1, 1, 1 / 255], rtol=1e-6)
    found = LoadPoints(use_dim=3)(scan(tmp_path / 'a.bin', 5, intensity_scale=1 / 255))['points']
    np.testing.assert_array_equal(found, points[:, :3])


def test_numpy_scan(tmp_path):
    points = np.random.default_rng(0).uniform(1, 9, (40, 4)) * [1, -1, 1, 0.1]
    np.save(tmp_path / 'a.npy', points)
    found = LoadPoints()(scan(tmp_path / 'a.npy'))['points']
    np.testing.assert_allclose(found, points, rtol=1e-6)
    assert found.dtype == np.float32


def test_more_columns_than_there_are(tmp_path):
    with pytest.raises(ValueError, match="use_dim is 4, but a point of '.*' has 3 columns"):
        LoadPoints()(scan(tmp_path / 'a.bin', 3))


def broken(transform, results, match):
    with pytest.raises(BrokenFrameError, match=match) as error:
        transform(results)
    assert error.value.frame_id == '00/000007'


def test_truncated_scan(tmp_path, disk):
    disk.write_scan(tmp_path / 'a.bin', count=10)
    (tmp_path / 'a.bin').write_bytes((tmp_path / 'a.bin').read_bytes()[:-6])
    broken(LoadPoints(), scan(tmp_path / 'a.bin'),
           r"a.bin': expected rows of 4 float32 numbers \(16 bytes\), found 154 bytes, 10 too many")


def test_empty_scan(tmp_path):
    (tmp_path / 'a.bin').touch()
    broken(LoadPoints(), scan(tmp_path / 'a.bin'), "a.bin': expected points, found none")


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf, 0.])
def test_rows_that_are_no_measurement_are_dropped(tmp_path, disk, value):
    points = disk.write_scan(tmp_path / 'a.bin', count=200)
    rows = np.full((400, 4), value, np.float32)
    rows[::2] = points
    rows.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(LoadPoints()(scan(tmp_path / 'a.bin'))['points'], points)
    rows[60:] = value
    rows.tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(LoadPoints()(scan(tmp_path / 'a.bin'))['points'], points[:30])
    rows[58:] = value
    rows.tofile(tmp_path / 'a.bin')
    kind = 'at the origin' if value == 0 else 'with NaN or infinity'
    broken(LoadPoints(), scan(tmp_path / 'a.bin'),
           f"a.bin': expected at least 30 points, found 29; 371 of 400 rows are .*371 {kind}")


def test_an_organised_cloud_as_pcd(tmp_path, disk):
    points = disk.write_scan(tmp_path / 'a.bin', count=200, dim=6)
    rows = np.full((300, 6), np.nan, np.float32)
    rows[np.arange(300) % 3 > 0] = points
    header = ('FIELDS x y z intensity ring time\nSIZE 4 4 4 4 4 4\nTYPE F F F F F F\n'
              'COUNT 1 1 1 1 1 1\nWIDTH 30\nHEIGHT 10\nPOINTS 300\nDATA binary\n')
    (tmp_path / 'a.pcd').write_bytes(header.encode() + rows.tobytes())
    found = LoadPoints()(scan(tmp_path / 'a.pcd'))['points']
    np.testing.assert_array_equal(found, points[:, :4])
    (tmp_path / 'a.pcd').write_bytes(
        header.replace('intensity', 'label').encode() + rows.tobytes())
    broken(LoadPoints(), scan(tmp_path / 'a.pcd'), "a.pcd': expected a field named intensity")


def test_columns_that_cannot_be_are_told(tmp_path, disk):
    points = disk.write_scan(tmp_path / 'a.bin', count=200, dim=5)
    points[:, 3] *= 255
    points.tofile(tmp_path / 'a.bin')
    broken(LoadPoints(), scan(tmp_path / 'a.bin', 5), 'intensity_scale of 1 turns into 0..1, found '
           r'99% of them up to 2[45]\d.*lidar.intensity_scale in rig.yaml.*0.003921569 would fit')
    points[:, 3] = points[:, 1]
    points.tofile(tmp_path / 'a.bin')
    broken(LoadPoints(), scan(tmp_path / 'a.bin', 5),
           'look like coordinates.*lidar.dim in rig.yaml')


def test_missing_scan(tmp_path):
    broken(LoadPoints(), scan(tmp_path / 'a.bin'), "scan '.*a.bin': expected a file, found none")
    broken(LoadPoints(), scan(tmp_path / 'a.npy'), "scan '.*a.npy': expected a file, found none")
    (tmp_path / 'b.bin').mkdir()
    broken(LoadPoints(), scan(tmp_path / 'b.bin'), 'expected a file, found something unreadable')


@pytest.mark.parametrize('array, match', [
    (np.zeros((5, 3)), r'shape \(N, 4\), found float64 of shape \(5, 3\)'),
    (np.zeros((5, 4), int), 'found int64'),
    (np.zeros(20), r'of shape \(20,\)'),
])
def test_numpy_scan_of_another_shape(tmp_path, array, match):
    np.save(tmp_path / 'a.npy', array)
    broken(LoadPoints(), scan(tmp_path / 'a.npy'), match)


@pytest.mark.parametrize('content', [b'', b'not an array', b'\x93NUMPY\x01\x00v\x00{'])
def test_corrupt_numpy_scan(tmp_path, content):
    (tmp_path / 'a.npy').write_bytes(content)
    broken(LoadPoints(), scan(tmp_path / 'a.npy'), "a.npy': expected a NumPy array, found")


# LoadImages

def test_images_are_rgb_and_calibration_is_stacked(tmp_path, disk):
    rgb = disk.write_image(tmp_path / 'a.png')
    results = image(tmp_path / 'a.png', image_size=(disk.width, disk.height))
    results['images'] = results['images'] * 2
    found = LoadImages()(results)
    np.testing.assert_array_equal(found['imgs'][1], rgb)
    assert found['cam2img'].shape == (2, 3, 3) and found['lidar2cam'].shape == (2, 4, 4)
    assert found['cam2img'].dtype == found['lidar2cam'].dtype == np.float64


def test_jpeg(tmp_path):
    flat = np.full((16, 16, 3), (200, 100, 30), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.jpg'), flat[..., ::-1])
    found = LoadImages()(image(tmp_path / 'a.jpg'))['imgs'][0]
    np.testing.assert_allclose(found.astype(int), flat, atol=4)


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
@pytest.mark.parametrize('damage', [
    lambda raw: raw[:len(raw) // 2], lambda raw: raw[:-200], lambda raw: b'',
    lambda raw: b'no image',
], ids=['half', 'end', 'empty', 'text'])
def test_corrupt_image(tmp_path, disk, suffix, damage):
    path = tmp_path / f'a.{suffix}'
    disk.write_image(path)
    path.write_bytes(damage(path.read_bytes()))
    broken(LoadImages(), image(path), rf"image '.*a.{suffix}': expected a complete PNG or JPEG")


def test_png_with_a_flipped_bit(tmp_path, disk):
    disk.write_image(tmp_path / 'a.png')
    raw = bytearray((tmp_path / 'a.png').read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / 'a.png').write_bytes(raw)
    broken(LoadImages(), image(tmp_path / 'a.png'), 'it is corrupt or cut off')


def test_missing_image(tmp_path):
    broken(LoadImages(), image(tmp_path / 'a.png'), "image '.*a.png': expected a file, found none")


def test_image_of_another_size(tmp_path, disk):
    disk.write_image(tmp_path / 'a.png')
    broken(LoadImages(), image(tmp_path / 'a.png', image_size=(disk.width, 99)),
           r"a.png': .*expected 120 x 99 pixels \(image_size of the intr.*found 120 x 48")


def test_replaced_image_is_resized_to_the_own_and_keeps_its_calibration(tmp_path, disk):
    disk.write_image(tmp_path / 'own.png')
    flat = np.full((disk.height * 2, disk.width + 9, 3), (200, 100, 30), np.uint8)
    cv2.imwrite(str(tmp_path / 'other.png'), flat[..., ::-1])
    results = image(tmp_path / 'own.png', image_size=(disk.width, disk.height))
    other = image(tmp_path / 'other.png', image_size=(disk.width + 9, disk.height * 2))
    other['images'][0]['cam2img'] = 2 * np.eye(3)
    results['images'][0]['replaced_by'] = other['images'][0]
    found = LoadImages()(results)
    assert found['imgs'][0].shape == (disk.height, disk.width, 3)
    assert (found['imgs'][0] == (200, 100, 30)).all()
    np.testing.assert_array_equal(found['cam2img'][0], np.eye(3))
    # Both files are checked, each against its own size.
    other['images'][0]['image_size'] = (1, 1)
    broken(LoadImages(), results, r"other.png': .*expected 1 x 1 pixels")


SWEEPS = 12
CAMERAS = ('CAM_FRONT', )


def quaternion(angles):
    x, y, z, w = Rotation.from_euler('zyx', angles, degrees=True).as_quat()
    return [w, x, y, z]


class Tables:
    """nuScenes' tables of one scene, as the devkit's NuScenes gives them: the last is the key
    frame, a turning vehicle drives 1.1 m between two sweeps, some points are on the vehicle."""

    def __init__(self, root: Path) -> None:
        self.dataroot = str(root)
        rng = np.random.default_rng(0)
        self.rows = {('calibrated_sensor', 0): dict(
            translation=[0.94, 0.1, 1.84], rotation=quaternion([-89, 1, 2]))}
        for number in range(SWEEPS + 1):
            folder = 'samples' if number in (SWEEPS, 2) else 'sweeps'
            points = rng.uniform(-30, 30, (40, 5)).astype(np.float32)
            points[:, :2] += 2 * np.sign(points[:, :2])
            if number < SWEEPS:
                points[:5, :2] = rng.uniform(-0.9, 0.9, (5, 2))
            points[:, 3] = rng.integers(0, 256, 40)
            name = f'{folder}/LIDAR_TOP/{number}.pcd.bin'
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            points.tofile(root / name)
            self.rows['ego_pose', number] = dict(
                translation=[400 + 1.1 * number, 1180 + 0.2 * number**1.5, 0.01 * number],
                rotation=quaternion([110 + 3 * number, 0.3 * number, -1]))
            self.rows['sample_data', number] = dict(
                token=number, filename=name, ego_pose_token=number, calibrated_sensor_token=0,
                timestamp=10**15 + 50_000 * number, prev=number - 1 if number else '')

    def get(self, table, token):
        return self.rows[table, token]

    def get_sample_data_path(self, token):
        return f"./data/nuscenes/{self.rows['sample_data', token]['filename']}"


@pytest.fixture
def tables(tmp_path):
    return Tables(tmp_path)


@pytest.fixture
def infos(tables, disk):
    """The info of the key frame, its sweeps by mmdet3d's own converter."""
    package = importlib.util.find_spec('mmdet3d')
    if package is None:
        pytest.skip('mmdet3d, whose converter writes the infos, is not installed')
    spec = importlib.util.spec_from_file_location(
        'nuscenes_converter',
        Path(package.origin).parent / '.mim/tools/dataset_converters/nuscenes_converter.py')
    converter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(converter)
    from pyquaternion import Quaternion
    sensor, pose = tables.get('calibrated_sensor', 0), tables.get('ego_pose', SWEEPS)
    listed = []
    for number in reversed(range(SWEEPS)):
        sweep = converter.obtain_sensor2top(
            tables, number, sensor['translation'],
            Quaternion(sensor['rotation']).rotation_matrix, pose['translation'],
            Quaternion(pose['rotation']).rotation_matrix, 'lidar')
        rotation, shift = sweep['sensor2lidar_rotation'], sweep['sensor2lidar_translation']
        lidar2sensor = np.eye(4)  # as update_infos_to_v2.py
        lidar2sensor[:3, :3], lidar2sensor[:3, 3] = rotation.T, -rotation.T @ shift
        listed.append(dict(timestamp=sweep['timestamp'] / 1e6, lidar_points=dict(
            lidar_path=sweep['data_path'],
            lidar2sensor=lidar2sensor.astype(np.float32).tolist())))
    root = Path(tables.dataroot)
    disk.write_image(root / 'samples/CAM_FRONT/0.jpg')
    camera = dict(img_path='0.jpg', cam2img=np.eye(3).tolist(), lidar2cam=np.eye(4).tolist())
    key = dict(token='key', images=dict(CAM_FRONT=camera), lidar_sweeps=listed,
               lidar_points=dict(lidar_path=f'{SWEEPS}.pcd.bin', num_pts_feats=5))
    infos = dict(data_list=[key])

    def write():
        (root / 'infos.pkl').write_bytes(pickle.dumps(infos))
        return SimpleNamespace(root=root, key=key, write=write, read=lambda **options: (
            NuScenesReader('infos.pkl', CAMERAS, **options).read(str(root))[0]))

    return write()


def accumulate(frame, **options):
    return AccumulateSweeps(**options)(LoadPoints()(dict(frame)))['points']


def test_every_sweep_lies_where_the_devkit_puts_it(tables, infos):
    devkit = pytest.importorskip('nuscenes.utils.data_classes')
    expected, _ = devkit.LidarPointCloud.from_file_multisweep(
        tables, dict(data=dict(LIDAR_TOP=SWEEPS)), 'LIDAR_TOP', 'LIDAR_TOP', nsweeps=SWEEPS + 1)
    points = accumulate(infos.read(num_sweeps=SWEEPS))
    assert len(points) == 40 + SWEEPS * 35 and points.dtype == np.float32
    np.testing.assert_allclose(points[:, :3], expected.points[:3].T, atol=2e-4)
    np.testing.assert_allclose(points[:, 3], expected.points[3] / 255, atol=1e-6)


def test_every_fourth_of_three(tables, infos):
    frame = infos.read(num_sweeps=3, sweep_step=4)
    assert [Path(sweep['lidar_path']).name for sweep in frame['sweeps']] == [
        '8.pcd.bin', '4.pcd.bin', '0.pcd.bin']
    every = accumulate(infos.read(num_sweeps=SWEEPS))
    some = accumulate(frame)
    np.testing.assert_array_equal(some[40:75], every[40 + 3 * 35:40 + 4 * 35])


def test_sweeps_that_were_key_frames_lie_in_samples(tables, infos):
    sweeps = infos.read(num_sweeps=SWEEPS)['sweeps']
    assert sweeps[SWEEPS - 1 - 2]['lidar_path'] == str(
        infos.root / 'samples/LIDAR_TOP/2.pcd.bin')
    assert sweeps[0]['lidar_path'] == str(infos.root / 'sweeps/LIDAR_TOP/11.pcd.bin')


def test_the_vehicle_leaves_no_trail(tables, infos):
    frame = infos.read(num_sweeps=1)
    assert len(accumulate(frame)) == 75 and len(accumulate(frame, min_distance=0.)) == 80


def test_the_first_frame_of_a_scene_has_what_there_is(tables, infos):
    infos.key['lidar_sweeps'] = infos.key['lidar_sweeps'][:2]
    infos.write()
    assert len(accumulate(infos.read(num_sweeps=3))) == 40 + 2 * 35
    assert len(accumulate(infos.read())) == 40  # off


def test_real_scan_seen_from_earlier_poses_comes_back(shared_data, tmp_path):
    root = shared_data / 'nuscenes_frame'
    with open(root / 'info_v2.pkl', 'rb') as stream:
        info = pickle.load(stream)['data_list'][0]
    frame = NuScenesReader('info_v2.pkl', CAMERAS).read(str(root))[0]
    scan = LoadPoints()(dict(frame))['points']
    ego2global, lidar2ego = (np.array(matrix, np.float64) for matrix in (
        info['ego2global'], info['lidar_points']['lidar2ego']))
    moved = ego2global.copy()
    moved[:3, 3] -= 3 * ego2global[:3, 0]  # 3 m back along the vehicle's x
    moved[:3, :3] = Rotation.from_euler('z', 5, degrees=True).as_matrix() @ moved[:3, :3]
    lidar2sweep = np.linalg.inv(moved @ lidar2ego) @ ego2global @ lidar2ego
    raw = np.pad(scan, ((0, 0), (0, 1))) * [1, 1, 1, 255, 1]
    raw[:, :3] = raw[:, :3] @ lidar2sweep[:3, :3].T + lidar2sweep[:3, 3]
    raw.astype(np.float32).tofile(tmp_path / 'sweep.bin')
    frame['sweeps'] = [dict(lidar_path=str(tmp_path / 'sweep.bin'),
                            sweep2lidar=np.linalg.inv(lidar2sweep))]
    points = accumulate(frame, min_distance=0.)
    assert len(points) == 2 * len(scan)
    assert np.abs(points[len(scan):] - scan).max() < 1e-3
    assert np.abs(raw[:, :3] - scan[:, :3]).max() > 2.5


def test_a_cut_off_sweep_is_named(tables, infos):
    path = infos.root / 'sweeps/LIDAR_TOP/11.pcd.bin'
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BrokenFrameError, match=r"11.pcd.bin': expected rows of 5 float32"):
        accumulate(infos.read(num_sweeps=1))


def test_a_reader_without_sweeps_is_told_about(results):
    with pytest.raises(ValueError, match='expected a list of sweeps, found none'):
        AccumulateSweeps()(results)
    with pytest.raises(ValueError, match='min_distance >= 0, found -1'):
        AccumulateSweeps(min_distance=-1)


# PackCalibrationInputs

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
