"""The rig of KITTI, and the object layout, read back by this project and by mmdet3d."""
import os
import shutil

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.datasets.readers import KittiObjectReader
from nclr_plugin.demo.frame import Split
from nclr_plugin.demo.layouts import Job, KittiObjectLayout, SemanticKittiLayout
from nclr_plugin.demo.layouts.base import DemoOptions

AXES = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]])  # camera from LiDAR axes, nothing else


@pytest.fixture(scope='module')
def root(make_root):
    return make_root('kitti')


def read_labels(path):
    return [line.split() for line in path.read_text().splitlines()]


def test_image_sets(root):
    sets = {path.stem: path.read_text().split() for path in (root / 'ImageSets').iterdir()}
    assert sets == dict(train=['000000', '000001', '000002'],
                        val=['000003', '000004'],
                        trainval=[f'{k:06d}' for k in range(5)],
                        test=['000000'])
    assert not (root / 'testing' / 'label_2').exists()


def test_boxes_hold_points_in_the_camera_frame(root):
    """The 3D boxes as KITTI's devkit places them, against points under the calibration."""
    filled = 0
    for frame in KittiObjectReader().read(str(root)):
        path = root / 'training' / 'label_2' / f"{frame['frame_id']}.txt"
        calibration = dict(
            line.split(':')
            for line in (root / 'training' / 'calib' / path.name).read_text().splitlines())
        rectify = np.array(calibration['R0_rect'].split(), float).reshape(3, 3)
        lidar2ref = np.array(calibration['Tr_velo_to_cam'].split(), float).reshape(3, 4)
        points = np.fromfile(frame['lidar_path'], np.float32).reshape(-1, 4)[:, :3]
        points = (points @ lidar2ref[:, :3].T + lidar2ref[:, 3]) @ rectify.T
        for fields in read_labels(path):
            assert len(fields) == 15
            if fields[0] == 'DontCare':
                continue
            alpha = float(fields[3])
            height, width, length, x, y, z, turn = map(float, fields[8:])
            expected = (turn - np.arctan2(x, z) + np.pi) % (2 * np.pi) - np.pi
            assert abs(np.angle(np.exp(1j * (alpha - expected)))) < 0.03
            offset = points - [x, y, z]
            along = np.cos(turn) * offset[:, 0] - np.sin(turn) * offset[:, 2]
            across = np.sin(turn) * offset[:, 0] + np.cos(turn) * offset[:, 2]
            near = ((np.abs(along) < length / 2 + 0.1) & (np.abs(across) < width / 2 + 0.1) &
                    (offset[:, 1] < -0.15) & (offset[:, 1] > -height - 0.1))
            filled += near.sum() > 3
    assert filled > 10


def test_occlusion_and_truncation_vary(root):
    lines = [
        fields for path in (root / 'training' / 'label_2').iterdir() for fields in read_labels(path)
    ]
    kept = [fields for fields in lines if fields[0] != 'DontCare']
    assert {fields[0] for fields in kept} >= {'Car', 'Pedestrian'}
    assert {fields[2] for fields in kept} == {'0', '1', '2'}
    boxes = np.array([fields[4:8] for fields in lines], float)
    assert (boxes >= 0).all() and (boxes[:, [0, 2]] <= 159).all() and (boxes[:, [1, 3]] <= 63).all()
    assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_ignored_regions_come_last(root):
    """mmdet3d and OpenPCDet take the first rows of a label file as its objects."""
    mixed = 0
    for path in (root / 'training' / 'label_2').iterdir():
        ignored = [fields[0] == 'DontCare' for fields in read_labels(path)]
        assert ignored == sorted(ignored)
        mixed += any(ignored)
    assert mixed > 0


def test_images_and_scans(root):
    for number in range(5):
        image = cv2.imread(str(root / 'training' / 'image_2' / f'{number:06d}.png'))
        assert image.shape == (64, 160, 3)
        size = os.path.getsize(root / 'training' / 'velodyne' / f'{number:06d}.bin')
        assert size % 16 == 0 and size > 16 * 5000


def test_mmdet3d_prepares_it(root, tmp_path, monkeypatch):
    """The steps of mmdet3d's ``create_data.py kitti`` that make the infos."""
    mmdet3d = pytest.importorskip('mmdet3d')
    tools = os.path.join(os.path.dirname(mmdet3d.__file__), '.mim', 'tools')
    if not os.path.isdir(tools):
        pytest.skip('mmdet3d was installed without its tools')
    monkeypatch.syspath_prepend(tools)
    from dataset_converters.kitti_converter import create_kitti_info_file
    from dataset_converters.update_infos_to_v2 import update_pkl_infos
    copy = tmp_path / 'kitti'
    shutil.copytree(root, copy)
    create_kitti_info_file(str(copy), 'kitti')
    for split in ('train', 'val', 'test'):
        update_pkl_infos('kitti', str(copy), str(copy / f'kitti_infos_{split}.pkl'))
    from mmdet3d.datasets import KittiDataset
    from mmdet3d.utils import register_all_modules
    register_all_modules(init_default_scope=True)
    dataset = KittiDataset(str(copy),
                           'kitti_infos_train.pkl', [],
                           data_prefix=dict(pts='training/velodyne', img='training/image_2'))
    assert len(dataset) == 3
    for index in range(3):
        info = dataset.get_data_info(index)
        annotations = info['ann_info']
        assert len(annotations['gt_bboxes_3d']) == len(annotations['gt_labels_3d']) > 0
        filled = [item['num_lidar_pts'] > 0 for item in info['instances']]  # counted by mmdet3d
        assert np.mean(filled) > 0.6


def test_camera_looks_ahead_and_sits_ahead_of_the_lidar():
    for layout in (SemanticKittiLayout, KittiObjectLayout):
        for town in range(4):
            cameras, lidar = layout('.', DemoOptions(scenes=1)).mounts(Job(Split.TRAIN, town, 0))
            mount = cameras['image_2']
            cam2lidar = np.linalg.inv(mount.lidar2cam)
            assert Rotation.from_matrix(cam2lidar[:3, :3] @ AXES).magnitude() < np.deg2rad(5)
            np.testing.assert_allclose(cam2lidar[:3, 3], [0.27, 0.06, -0.08], atol=0.05)
            assert lidar.lidar2ego[2, 3] == 1.73
            assert (mount.width, mount.height) == (1242, 375)


def test_scaled_image_scales_the_focal_length():
    small = DemoOptions(scenes=1, image_size=(621, 188))
    full = SemanticKittiLayout('.', DemoOptions(scenes=1)).mounts(Job(Split.TRAIN, 0, 0))[0]
    half = SemanticKittiLayout('.', small).mounts(Job(Split.TRAIN, 0, 0))[0]
    np.testing.assert_allclose(half['image_2'].cam2img[0, 0] * 2, full['image_2'].cam2img[0, 0])
    np.testing.assert_allclose(half['image_2'].lidar2cam, full['image_2'].lidar2cam, atol=1e-12)
