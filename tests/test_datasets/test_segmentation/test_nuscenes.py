import pickle
from types import SimpleNamespace

import numpy as np
import pytest

from nclr_plugin.demo.layouts.nuscenes import CATEGORIES

PIPELINE = [
    dict(type='LoadPointsFromFile', coord_type='LIDAR', load_dim=5, use_dim=4),
    dict(type='ScaleIntensity', scale=1 / 255),
    dict(type='LoadAnnotations3D', with_bbox_3d=False, with_label_3d=False, with_seg_3d=True,
         seg_3d_dtype='np.uint8', dataset_type='nuscenes'),
    dict(type='PointSegClassMapping'),
    dict(type='Pack3DDetInputs', keys=['points', 'pts_semantic_mask']),
]


@pytest.fixture
def dataset(tmp_path):
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
        pipeline=PIPELINE))


def test_classes_are_those_of_the_challenge(dataset):
    mapper = pytest.importorskip('nuscenes.eval.lidarseg.utils').LidarsegClassMapper
    # The devkit: names of the 32 categories -> names of the challenge.
    coarse = mapper.get_fine2coarse(SimpleNamespace(ignore_class=dict(name='ignore')))
    names = [*dataset.metainfo['classes'], 'ignore']
    found = dataset[0]['data_samples'].gt_pts_seg.pts_semantic_mask.tolist()
    assert [names[index] for index in found] == [coarse[name] for name in CATEGORIES]


def test_intensity_is_that_of_pretraining(dataset):
    points = dataset[0]['inputs']['points']
    np.testing.assert_allclose(points, [[51, 51, 51, 0.2]] * 32, rtol=1e-6)
