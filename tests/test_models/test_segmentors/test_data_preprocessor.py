import pytest
import torch
from mmengine.registry import MODELS

pytest.importorskip('mmdet3d')
OPTIONS = dict(
    voxel=True, voxel_type='minkunet', batch_first=True,
    voxel_layer=dict(max_num_points=-1, point_cloud_range=[-100, -100, -20, 100, 100, 20],
                     voxel_size=[1., 1., 2.], max_voxels=(-1, -1)))


@pytest.fixture
def build():
    from mmdet3d.utils import register_all_modules
    register_all_modules()
    return lambda name, **options: MODELS.build(dict(type=name, **{**OPTIONS, **options}))


@pytest.mark.parametrize('training', [True, False])
def test_equals_mmdet3d(build, batch, monkeypatch, training):
    ours, reference = build('SegDataPreprocessor'), build('mmdet3d.Det3DDataPreprocessor')
    ours.train(training), reference.train(training)
    monkeypatch.setattr(torch.Tensor, 'cuda', lambda tensor: tensor)
    expected = reference(batch(), training)
    monkeypatch.undo()
    found = ours(batch(), training)
    for name in ('voxels', 'coors'):
        assert torch.equal(found['inputs']['voxels'][name], expected['inputs']['voxels'][name])
    for one, other in zip(found['data_samples'], expected['data_samples']):
        assert torch.equal(one.point2voxel_map, other.point2voxel_map)
        assert torch.equal(one.batch_idx, other.batch_idx)
        assert torch.equal(one.gt_pts_seg.voxel_semantic_mask,
                           other.gt_pts_seg.voxel_semantic_mask)


def test_every_point_finds_its_voxel(build, batch):
    data = build('SegDataPreprocessor').eval()(batch(labelled=False))
    coors = data['inputs']['voxels']['coors']
    for index, (points, sample) in enumerate(zip(data['inputs']['points'], data['data_samples'])):
        cell = torch.round(points[:, :3] / torch.tensor([1., 1., 2.])).int()
        own = coors[coors[:, 0] == index][:, 1:]
        assert torch.equal(own[sample.point2voxel_map], cell - cell.amin(0))
        assert len(own) == len(torch.unique(cell, dim=0))
        assert 'voxel_semantic_mask' not in sample.gt_pts_seg


def test_unlabelled_points_stay(build, batch):
    data = build('SegDataPreprocessor').train()(batch(), True)
    for sample in data['data_samples']:
        mask = sample.gt_pts_seg.voxel_semantic_mask
        assert (mask == 3).any() and len(mask) == len(sample.batch_idx)


def test_no_more_voxels_than_allowed_in_training(build, batch):
    preprocessor = build('SegDataPreprocessor', max_voxels=50)
    for training in (True, False):
        data = preprocessor.train(training)(batch(), training)
        coors = data['inputs']['voxels']['coors']
        sizes = torch.bincount(coors[:, 0]).tolist()
        assert sizes == [50, 50] if training else min(sizes) > 50
        assert len(torch.unique(coors, dim=0)) == len(coors)
        # values, labels and indices are still those of one point each
        assert [len(s.gt_pts_seg.voxel_semantic_mask) for s in data['data_samples']] == sizes
