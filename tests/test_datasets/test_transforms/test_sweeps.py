"""Accumulated sweeps against the nuScenes devkit's, through infos as mmdet3d writes them."""
import importlib.util
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets import AccumulateSweeps, BrokenFrameError, LoadScan, NuScenesReader

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
    return AccumulateSweeps(**options)(LoadScan()(dict(frame)))['points']


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
    scan = LoadScan()(dict(frame))['points']
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
