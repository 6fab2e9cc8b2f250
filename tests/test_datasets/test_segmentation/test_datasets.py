import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from nclr_plugin.datasets.segmentation import list_infos, write_infos
from nclr_plugin.demo.layouts.nuscenes import CATEGORIES

NUSCENES_PIPELINE = [
    dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=5, use_dim=4),
    dict(type='ScaleIntensity', scale=1 / 255),
    dict(type='LoadAnnotations3D', with_bbox_3d=False, with_label_3d=False, with_seg_3d=True,
         seg_3d_dtype='np.uint8', dataset_type='nuscenes'),
    dict(type='PointSegClassMapping'),
    dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask']),
]


@pytest.fixture
def nuscenes(tmp_path):
    from mmdet3d.utils import register_all_modules
    from mmengine.registry import DATASETS
    register_all_modules()
    for folder in ('samples/LIDAR_TOP', 'lidarseg/v1.0-mini'):
        (tmp_path / folder).mkdir(parents=True)
    points = np.full((32, 5), 51., np.float32)
    points.tofile(tmp_path / 'samples/LIDAR_TOP/scan.bin')
    np.arange(32, dtype=np.uint8).tofile(tmp_path / 'lidarseg/v1.0-mini/labels.bin')
    info = dict(lidar_points=dict(lidar_path='scan.bin', num_pts_feats=5),
                pts_semantic_mask_path='labels.bin')
    (tmp_path / 'infos.pkl').write_bytes(pickle.dumps(dict(metainfo={}, data_list=[info])))
    return DATASETS.build(dict(
        type='NuScenesSegDataset', data_root=str(tmp_path), ann_file='infos.pkl',
        data_prefix=dict(pts='samples/LIDAR_TOP', pts_semantic_mask='lidarseg/v1.0-mini'),
        pipeline=NUSCENES_PIPELINE))


def test_nuscenes_classes_are_those_of_the_challenge(nuscenes):
    mapper = pytest.importorskip('nuscenes.eval.lidarseg.utils').LidarsegClassMapper
    # The devkit: names of the 32 categories -> names of the challenge.
    coarse = mapper.get_fine2coarse(SimpleNamespace(ignore_class=dict(name='ignore')))
    names = [*nuscenes.metainfo['classes'], 'ignore']
    found = nuscenes[0]['data_samples'].gt_pts_seg.pts_semantic_mask.tolist()
    assert [names[index] for index in found] == [coarse[name] for name in CATEGORIES]


def test_intensity_is_that_of_pretraining(nuscenes):
    points = nuscenes[0]['inputs']['points']
    np.testing.assert_allclose(points, [[51, 51, 51, 0.2]] * 32, rtol=1e-6)


# The raw ids of the data set's own description, by class.
IDS = dict(zip(
    ('people', 'rider', 'car', 'trunk', 'plants', 'traffic-sign', 'pole', 'trashcan', 'building',
     'cone/stone', 'fence', 'bike', 'ground'),
    ((4, 5), (6, ), (7, ), (8, ), (9, ), (10, 11, 12), (13, ), (14, ), (15, ), (16, ), (17, ),
     (21, ), (22, ))))
SEMANTICPOSS_PIPELINE = [
    dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4),
    dict(type='LoadAnnotations3D', with_bbox_3d=False, with_label_3d=False, with_seg_3d=True,
         seg_3d_dtype='np.int32', seg_offset=2**16, dataset_type='semantickitti'),
    dict(type='PointSegClassMapping'),
    dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask']),
]


@pytest.fixture
def semanticposs(tmp_path, make_frame):
    from mmdet3d.utils import register_all_modules
    from mmengine.registry import DATASETS
    register_all_modules()
    raw = np.array([0, *(number for numbers in IDS.values() for number in numbers)])
    make_frame('03', 0, raw + 2**16 * np.arange(len(raw)))
    write_infos(str(tmp_path / 'infos.pkl'), list_infos(str(tmp_path), ('03', )))
    return DATASETS.build(dict(
        type='SemanticPossDataset', data_root=str(tmp_path), ann_file='infos.pkl',
        pipeline=SEMANTICPOSS_PIPELINE, test_mode=True))


def test_labels_are_classes_and_unlabelled_points_stay(semanticposs):
    sample = semanticposs[0]
    classes = list(IDS)
    expected = [13] + [classes.index(name) for name, raw in IDS.items() for _ in raw]
    assert sample['data_samples'].gt_pts_seg.pts_semantic_mask.tolist() == expected
    assert len(sample['inputs']['points']) == len(expected)
    assert sample['data_samples'].eval_ann_info['pts_semantic_mask'].tolist() == expected


def test_what_the_metric_needs(semanticposs):
    assert semanticposs.metainfo['classes'] == tuple(IDS)
    assert semanticposs.metainfo['label2cat'] == dict(enumerate(IDS))
    assert semanticposs.metainfo['ignore_index'] == 13
    assert len(semanticposs.metainfo['palette']) == 13
