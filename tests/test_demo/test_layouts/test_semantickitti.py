"""The SemanticKITTI layout, read back by this project and by mmdet3d."""
import cv2
import numpy as np
import pytest

from nclr_plugin.demo.frame import Split
from nclr_plugin.demo.layouts import Job, SemanticKittiLayout
from nclr_plugin.demo.layouts.base import DemoOptions
from nclr_plugin.datasets.readers import KittiOdometryReader
from nclr_plugin.demo.primitives import MOVING, Label

KNOWN = {
    0, 1, 10, 11, 13, 15, 16, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 52, 60, 70, 71, 72, 80,
    81, 99, 252, 253, 254, 255, 256, 257, 258, 259
}


@pytest.fixture(scope='module')
def root(make_root):
    return make_root('semantickitti')


def test_sequences(root):
    found = {
        path.name: len(list((path / 'velodyne').iterdir()))
        for path in (root / 'sequences').iterdir()
    }
    assert found == {'00': 2, '01': 1, '08': 2}


def test_files_of_a_frame_belong_together(root):
    for scan in root.rglob('*.bin'):
        points = np.fromfile(scan, np.float32).reshape(-1, 4)
        label = np.fromfile(scan.parents[1] / 'labels' / f'{scan.stem}.label', np.uint32)
        assert len(points) == len(label) > 5000
        assert set(np.unique(label & 0xFFFF)) <= KNOWN
        things = np.isin(label & 0xFFFF, [Label.CAR, *MOVING.values()])
        assert ((label >> 16)[things] > 0).all()
        assert ((label >> 16)[(label & 0xFFFF) == Label.ROAD] == 0).all()
        image = cv2.imread(str(scan.parents[1] / 'image_2' / f'{scan.stem}.png'))
        assert image.shape == (64, 160, 3)
    assert len(list(root.rglob('*.label'))) == 5


def test_moving_and_parked_are_told_apart(root):
    found = np.unique(
        np.concatenate([np.fromfile(path, np.uint32) & 0xFFFF for path in root.rglob('*.label')]))
    assert Label.CAR in found and MOVING[Label.CAR] in found


def test_calibration_reads_back(root):
    options = DemoOptions(scenes=3, val_scenes=2, towns=2, image_size=(160, 64), azimuths=360)
    frames = KittiOdometryReader(sequences=['00', '01', '08']).read(str(root))
    assert len(frames) == 5
    layout = SemanticKittiLayout(str(root), options)
    for frame in frames:
        job = {
            '00': Job(Split.TRAIN, 0, 0),
            '01': Job(Split.TRAIN, 1, 0),
            '08': Job(Split.VAL, 0, 0)
        }[frame['frame_id'][:2]]
        mount = layout.mounts(job)[0]['image_2']
        np.testing.assert_allclose(frame['images'][0]['lidar2cam'], mount.lidar2cam, atol=1e-9)
        np.testing.assert_allclose(frame['images'][0]['cam2img'], mount.cam2img, rtol=1e-9)
    text = (root / 'sequences' / '00' / 'calib.txt').read_text()
    assert [line.split(':')[0] for line in text.splitlines()] == ['P0', 'P1', 'P2', 'P3', 'Tr']
    assert float(text.splitlines()[2].split()[4]) != 0


def test_poses_and_times(root):
    poses = np.loadtxt(root / 'sequences' / '00' / 'poses.txt').reshape(-1, 3, 4)
    times = np.loadtxt(root / 'sequences' / '00' / 'times.txt')
    assert len(poses) == len(times) == 2
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-8)
    np.testing.assert_allclose(poses[1, :, :3] @ poses[1, :, :3].T, np.eye(3), atol=1e-7)
    assert 900 < np.linalg.norm(poses[1, :, 3]) < 1100


def test_mmdet3d_reads_it(root):
    datasets = pytest.importorskip('mmdet3d.datasets')
    from mmdet3d.utils import register_all_modules
    register_all_modules(init_default_scope=True)
    mapping = {label: 18 if label in (0, 1, 99) else 3 for label in KNOWN}
    dataset = datasets.SemanticKittiDataset(
        data_root=str(root),
        ann_file='semantickitti_infos_train.pkl',
        metainfo=dict(classes=datasets.SemanticKittiDataset.METAINFO['classes'],
                      seg_label_mapping=mapping,
                      max_label=259),
        pipeline=[
            dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4),
            dict(type='LoadAnnotations3D',
                 with_bbox_3d=False,
                 with_label_3d=False,
                 with_seg_3d=True,
                 seg_3d_dtype='np.int32',
                 seg_offset=2**16,
                 dataset_type='semantickitti'),
            dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask']),
        ])
    assert len(dataset) == 3
    sample = dataset[0]
    assert sample['inputs']['points'].shape[1] == 4
    assert len(sample['data_samples'].gt_pts_seg.pts_semantic_mask) == len(
        sample['inputs']['points'])
