import numpy as np
import pytest

from nclr_plugin.datasets.segmentation import list_infos, write_infos

# The raw ids of the data set's own description, by class.
IDS = dict(zip(
    ('people', 'rider', 'car', 'trunk', 'plants', 'traffic-sign', 'pole', 'trashcan', 'building',
     'cone/stone', 'fence', 'bike', 'ground'),
    ((4, 5), (6, ), (7, ), (8, ), (9, ), (10, 11, 12), (13, ), (14, ), (15, ), (16, ), (17, ),
     (21, ), (22, ))))
PIPELINE = [
    dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=4, use_dim=4),
    dict(type='LoadAnnotations3D', with_bbox_3d=False, with_label_3d=False, with_seg_3d=True,
         seg_3d_dtype='np.int32', seg_offset=2**16, dataset_type='semantickitti'),
    dict(type='PointSegClassMapping'),
    dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask']),
]


@pytest.fixture
def dataset(tmp_path, make_frame):
    from mmdet3d.utils import register_all_modules
    from mmengine.registry import DATASETS
    register_all_modules()
    raw = np.array([0, *(number for numbers in IDS.values() for number in numbers)])
    make_frame('03', 0, raw + 2**16 * np.arange(len(raw)))
    write_infos(str(tmp_path / 'infos.pkl'), list_infos(str(tmp_path), ('03', )))
    return DATASETS.build(dict(
        type='SemanticPossDataset', data_root=str(tmp_path), ann_file='infos.pkl',
        pipeline=PIPELINE, test_mode=True))


def test_labels_are_classes_and_unlabelled_points_stay(dataset):
    sample = dataset[0]
    classes = list(IDS)
    expected = [13] + [classes.index(name) for name, raw in IDS.items() for _ in raw]
    assert sample['data_samples'].gt_pts_seg.pts_semantic_mask.tolist() == expected
    assert len(sample['inputs']['points']) == len(expected)
    assert sample['data_samples'].eval_ann_info['pts_semantic_mask'].tolist() == expected


def test_what_the_metric_needs(dataset):
    assert dataset.metainfo['classes'] == tuple(IDS)
    assert dataset.metainfo['label2cat'] == dict(enumerate(IDS))
    assert dataset.metainfo['ignore_index'] == 13
    assert len(dataset.metainfo['palette']) == 13
