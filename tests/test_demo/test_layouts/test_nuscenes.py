"""The nuScenes layout, read back by this project, the devkit and mmdet3d."""
import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nclr_plugin.demo.layouts.nuscenes import CAMERAS, quaternion
from nclr_plugin.datasets.readers import NuScenesReader


@pytest.fixture(scope='module')
def root(make_root):
    return make_root('nuscenes')


@pytest.fixture(scope='module')
def devkit(root):
    nuscenes = pytest.importorskip('nuscenes')
    return nuscenes.NuScenes('v1.0-mini', str(root), verbose=False)


def test_quaternions():
    for rotation in Rotation.random(20, random_state=0):
        x, y, z, w = rotation.as_quat()
        found = np.array(quaternion(rotation.as_matrix()))
        np.testing.assert_allclose(np.abs(found @ [w, x, y, z]), 1, atol=1e-12)


def test_this_project_reads_it(root):
    frames = NuScenesReader('nuscenes_infos_train.pkl').read(str(root))
    assert len(frames) == 3
    assert [image['name'] for image in frames[0]['images']] and len(frames[0]['images']) == 6
    assert len(NuScenesReader('nuscenes_infos_val.pkl').read(str(root))) == 2


def test_devkit_walks_the_scenes(root, devkit):
    from nuscenes.utils.splits import create_splits_scenes
    splits = create_splits_scenes()
    counts = {}
    for scene in devkit.scene:
        token, walked = scene['first_sample_token'], 0
        while token:
            sample = devkit.get('sample', token)
            assert set(sample['data']) == {'LIDAR_TOP', *CAMERAS}
            token, walked = sample['next'], walked + 1
        assert walked == scene['nbr_samples']
        split = 'mini_train' if scene['name'] in splits['mini_train'] else 'mini_val'
        assert scene['name'] in splits[split]
        counts[split] = counts.get(split, 0) + walked
    assert counts == dict(mini_train=3, mini_val=2)


def test_devkit_finds_points_in_boxes(devkit):
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box
    for sample in devkit.sample:
        path, boxes, _ = devkit.get_sample_data(sample['data']['LIDAR_TOP'])
        cloud = LidarPointCloud.from_file(path)
        assert len(boxes) > 10
        for box in boxes:
            record = devkit.get('sample_annotation', box.token)
            inside = points_in_box(box, cloud.points[:3], wlh_factor=1.2).sum()
            assert inside >= 0.9 * record['num_lidar_pts']


def test_semantic_and_panoptic_labels_agree_with_the_scan(root, devkit):
    for sample in devkit.sample:
        token = sample['data']['LIDAR_TOP']
        scan = np.fromfile(devkit.get_sample_data_path(token), np.float32).reshape(-1, 5)
        assert scan[:, 3].max() > 50 and set(np.unique(scan[:, 4])) <= set(range(32))
        classes = np.fromfile(root / devkit.get('lidarseg', token)['filename'], np.uint8)
        panoptic = np.load(root / devkit.get('panoptic', token)['filename'])['data']
        assert len(classes) == len(panoptic) == len(scan)
        np.testing.assert_array_equal(panoptic // 1000, classes)
        names = {devkit.lidarseg_idx2name_mapping[index] for index in np.unique(classes)}
        assert {'flat.driveable_surface', 'vehicle.car', 'static.manmade'} <= names
        assert 'noise' not in names


def test_infos_agree_with_the_tables(root, devkit):
    infos = pickle.loads((root / 'nuscenes_infos_train.pkl').read_bytes())['data_list']
    for info in infos:
        sample = devkit.get('sample', info['token'])
        lidar2ego = np.array(info['lidar_points']['lidar2ego'])
        for name in CAMERAS:
            _, boxes, cam2img = devkit.get_sample_data(sample['data'][name])
            image = info['images'][name]
            np.testing.assert_allclose(image['cam2img'], cam2img)
            record = devkit.get(
                'calibrated_sensor',
                devkit.get('sample_data', sample['data'][name])['calibrated_sensor_token'])
            w, *xyz = record['rotation']
            cam2ego = np.eye(4)
            cam2ego[:3, :3] = Rotation.from_quat([*xyz, w]).as_matrix()
            cam2ego[:3, 3] = record['translation']
            np.testing.assert_allclose(np.linalg.inv(cam2ego) @ lidar2ego,
                                       image['lidar2cam'],
                                       atol=1e-9)
        _, boxes, _ = devkit.get_sample_data(sample['data']['LIDAR_TOP'])
        assert len(boxes) == len(info['instances'])
        for box, instance in zip(boxes, info['instances']):
            np.testing.assert_allclose(instance['bbox_3d'][:3], box.center, atol=1e-6)
            np.testing.assert_allclose(instance['bbox_3d'][3:6], box.wlh[[1, 0, 2]], atol=1e-9)
            turn = instance['bbox_3d'][6] - box.orientation.yaw_pitch_roll[0]
            assert abs(np.angle(np.exp(1j * turn))) < 1e-6


def test_mmdet3d_reads_it(root):
    datasets = pytest.importorskip('mmdet3d.datasets')
    from mmdet3d.utils import register_all_modules
    register_all_modules(init_default_scope=True)
    dataset = datasets.NuScenesDataset(str(root),
                                       'nuscenes_infos_train.pkl',
                                       box_type_3d='LiDAR',
                                       data_prefix=dict(pts='samples/LIDAR_TOP', img=''),
                                       pipeline=[
                                           dict(type='LoadPointsFromFile',
                                                coord_type='LIDAR',
                                                load_dim=5,
                                                use_dim=5),
                                           dict(type='LoadAnnotations3D',
                                                with_bbox_3d=True,
                                                with_label_3d=True),
                                           dict(type='Pack3DDetInputs',
                                                keys=['points', 'gt_bboxes_3d', 'gt_labels_3d']),
                                       ])
    assert len(dataset) == 3
    sample = dataset[0]
    boxes = sample['data_samples'].gt_instances_3d.bboxes_3d
    assert len(boxes) > 5
    points = sample['inputs']['points'][:, None, :3]
    low, high = boxes.corners.min(1).values - 0.1, boxes.corners.max(1).values + 0.1
    inside = ((points > low) & (points < high)).all(2)
    assert (inside.sum(0) > 0).float().mean() > 0.9
