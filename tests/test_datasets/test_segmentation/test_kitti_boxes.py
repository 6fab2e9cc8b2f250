"""Point labels by KITTI's boxes, against convex hulls of their corners."""
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial import Delaunay

from nclr_plugin.datasets.label_fractions import LabelSplit
from nclr_plugin.datasets.segmentation import read_infos
from nclr_plugin.datasets.segmentation.kitti_boxes import (create_kitti_boxes, label_points,
                                                           read_boxes)
from nclr_plugin.errors import DataLayoutError

REPO = Path(__file__).resolve().parents[3]
REAL = REPO.parent / 'shared' / 'data' / 'kitti_object'
WIDTH, HEIGHT, FOCAL = 400, 120, 200.
P2 = np.array([[FOCAL, 0, 199.5, 10.], [0, FOCAL, 59.5, 0.5], [0, 0, 1, 0.01]])
TR = np.array([[0., -1, 0, 0.02], [0, 0, -1, -0.05], [1, 0, 0, -0.3]])
R0 = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
LINES = ['Car 0.00 0 -1.6 10 20 30 40 1.5 1.6 4.0 -3.0 1.6 12.0 0.7',
         'Truck 0.00 0 -1.6 10 20 30 40 3.0 2.5 8.0 4.0 1.7 25.0 -1.5',
         'Pedestrian 0.00 0 -1.6 10 20 30 40 1.7 0.6 0.8 -3.0 1.6 12.0 0.2',
         'Cyclist 0.00 0 -1.6 10 20 30 40 1.7 0.6 1.8 0.5 1.6 8.0 2.9',
         'Tram 0.00 0 -1.6 10 20 30 40 3.5 2.7 9.0 -12.0 1.7 25.0 -1.5',
         'DontCare -1 -1 -10 150 20 260 60 -1 -1 -1 -1000 -1000 -1000 -10']
RAW = {'Car': 1, 'Truck': 2, 'Pedestrian': 3, 'Cyclist': 4, 'Tram': 5}


def _scan(number=0, count=100000):
    rng = np.random.default_rng(number)
    return rng.uniform([-10, -15, -2, 0], [40, 15, 1.5, 1], (count, 4)).astype(np.float32)


def _write_frame(root, stem, lines=LINES):
    for name in ('velodyne', 'image_2', 'calib', 'label_2'):
        (root / 'training' / name).mkdir(parents=True, exist_ok=True)
    _scan(int(stem)).tofile(root / f'training/velodyne/{stem}.bin')
    cv2.imwrite(str(root / f'training/image_2/{stem}.png'), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    values = dict(P0=P2, P1=P2, P2=P2, P3=P2, R0_rect=R0, Tr_velo_to_cam=TR)
    (root / f'training/calib/{stem}.txt').write_text(''.join(
        f'{name}: {" ".join(map(str, value.ravel()))}\n' for name, value in values.items()))
    (root / f'training/label_2/{stem}.txt').write_text('\n'.join(lines) + '\n')


@pytest.fixture
def root(tmp_path):
    (tmp_path / 'ImageSets').mkdir()
    parts = dict(train=[f'{number:06d}' for number in range(10)], val=['000010', '000012'])
    for part, stems in parts.items():
        (tmp_path / f'ImageSets/{part}.txt').write_text('\n'.join(stems) + '\n')
        for stem in stems:
            _write_frame(tmp_path, stem)
    return tmp_path


def _expected(points):
    """Labels by KITTI's description: eight corners, the turn about y, P2 for the pixels."""
    xyz = np.concatenate([points[:, :3].astype(float), np.ones((len(points), 1))], 1)
    rect = (R0 @ (TR @ xyz.T)).T
    pixels = np.concatenate([rect, np.ones((len(rect), 1))], 1) @ P2.T
    depth = pixels[:, 2]
    u, v = pixels[:, 0] / depth, pixels[:, 1] / depth
    labels = np.full(len(points), 5)
    labels[(u >= 150) & (u <= 260) & (v >= 20) & (v <= 60)] = 0
    volume = np.full(len(points), np.inf)
    for line in LINES[:-1]:
        words = line.split()
        h, w, length, x, y, z, yaw = map(float, words[8:15])
        corners = np.array([[sx * length / 2, -top * h, sz * w / 2]
                            for sx in (-1, 1) for top in (0, 1) for sz in (-1, 1)])
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        inside = Delaunay(corners @ turn.T + (x, y, z)).find_simplex(rect) >= 0
        smaller = inside & (h * w * length < volume)
        labels[smaller], volume[smaller] = RAW[words[0]], h * w * length
    seen = (depth > 0.1) & (u >= -.5) & (u < WIDTH - .5) & (v >= -.5) & (v < HEIGHT - .5)
    labels[~seen] = 0
    return labels


def test_labels_are_those_of_the_boxes_around_the_points(root):
    create_kitti_boxes(str(root))
    labels = np.fromfile(root / 'training/labels/000003.label', np.uint32)
    expected = _expected(_scan(3))
    assert (labels == expected).mean() > 0.9999  # a point on a face may be on either side
    assert (np.bincount(expected, minlength=6) > 5).all()


def test_infos_lists_and_fractions(root):
    create_kitti_boxes(str(root), fractions=[20, 50], seed=1)
    infos = read_infos(str(root / 'kitti_boxes_infos_val.pkl'))['data_list']
    assert [info['sample_idx'] for info in infos] == ['000010', '000012']
    for info in infos:
        assert (root / info['lidar_points']['lidar_path']).is_file()
        assert (root / info['pts_semantic_mask_path']).is_file()
    small, large = (
        {info['sample_idx'] for info in read_infos(
            str(root / f'kitti_boxes_infos_train_{percent}.pkl'))['data_list']}
        for percent in (20, 50))
    assert len(small) == 2 and len(large) == 5 and small < large
    split = LabelSplit.load(str(root / 'kitti_boxes_label_split.json'), 'kitti_boxes')
    assert set(split.fractions[20.]) == small


def test_command_line_and_the_same_frames_from_a_split(root):
    command = [sys.executable, str(REPO / 'tools/create_infos.py'), 'kitti_boxes', str(root)]
    env = dict(os.environ, PYTHONPATH=str(REPO))
    subprocess.run([*command, '--fractions', '30'], check=True, env=env)
    first = read_infos(str(root / 'kitti_boxes_infos_train_30.pkl'))['data_list']
    (root / 'kitti_boxes_infos_train_30.pkl').unlink()
    again = subprocess.run([*command, '--split', str(root / 'kitti_boxes_label_split.json')],
                           check=True, env=env, stdout=subprocess.PIPE, universal_newlines=True)
    assert read_infos(str(root / 'kitti_boxes_infos_train_30.pkl'))['data_list'] == first
    assert '3 frames, 30% of 10' in again.stdout
    (root / 'training/label_2/000003.txt').unlink()
    failed = subprocess.run(command, env=env, stderr=subprocess.PIPE, universal_newlines=True)
    assert failed.returncode == 1 and '000003.txt' in failed.stderr
    assert 'Traceback' not in failed.stderr


@pytest.mark.parametrize('line', ['Car 0.00 0 -1.6 10 20 30 40 1.5 1.6 4.0 -3.0 1.6 12.0',
                                  'Bus 0.00 0 -1.6 10 20 30 40 1.5 1.6 4.0 -3.0 1.6 12.0 0',
                                  'Car 0.00 0 -1.6 10 20 30 40 1.5 1.6 4.0 -3.0 one 12.0 0'])
def test_a_wrong_line_is_told(tmp_path, line):
    (tmp_path / 'label.txt').write_text(LINES[0] + '\n\n' + line + '\n')
    with pytest.raises(DataLayoutError, match='label.txt.*line 3: expected one of.*found'):
        read_boxes(str(tmp_path / 'label.txt'))


def test_classes_for_mmdet3d(root):
    pytest.importorskip('mmdet3d')
    from mmdet3d.utils import register_all_modules
    from mmengine.registry import DATASETS
    register_all_modules()
    create_kitti_boxes(str(root))
    dataset = DATASETS.build(dict(
        type='KittiBoxesSegDataset', data_root=str(root), ann_file='kitti_boxes_infos_val.pkl',
        test_mode=True, pipeline=[
            dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4),
            dict(type='LoadAnnotations3D', with_bbox_3d=False, with_label_3d=False,
                 with_seg_3d=True, seg_3d_dtype='np.int32', seg_offset=2**16,
                 dataset_type='semantickitti'),
            dict(type='PointSegClassMapping'),
            dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask'])]))
    raw = np.fromfile(root / 'training/labels/000010.label', np.uint32)
    classes = dataset[0]['data_samples'].gt_pts_seg.pts_semantic_mask.numpy()
    np.testing.assert_array_equal(classes, np.array([5, 0, 1, 2, 3, 4])[raw])
    assert len(dataset.metainfo['classes']) == len(dataset.metainfo['palette']) == 5


@pytest.mark.skipif(not REAL.is_dir(), reason='no real KITTI object frames here')
def test_real_cars_stand_out_of_the_ground():
    """Points labelled as cars lie above the road and within the boxes' heights."""
    from nclr_plugin.datasets.readers import KittiObjectReader
    from nclr_plugin.datasets.readers.calibration import kitti_lidar2ref, read_kitti_calibration
    frame, = KittiObjectReader(frame_list=['000008']).read(str(REAL))
    points = np.fromfile(frame['lidar_path'], np.float32).reshape(-1, 4)
    calib = str(REAL / 'training/calib/000008.txt')
    boxes = read_boxes(str(REAL / 'training/label_2/000008.txt'))
    size = cv2.imread(frame['images'][0]['img_path']).shape[1::-1]
    labels = label_points(points, boxes, kitti_lidar2ref(read_kitti_calibration(calib), calib),
                          frame['images'][0], size)
    cars = points[labels == 1]
    assert len(cars) > 1000 and len(set(labels)) >= 3
    assert -2. < cars[:, 2].min() and cars[:, 2].max() < 0.5
    assert cars[:, 0].min() > 0  # the camera looks ahead
