"""The panoptic segmentor on real points, the linear probe, and voxels against mmdet3d's."""
import numpy as np
import pytest
import torch
from mmengine.registry import METRICS, MODELS, init_default_scope

from nclr_plugin.utils.devices import set_sparse_algorithm

pytestmark = pytest.mark.slow
pytest.importorskip('mmdet3d')
pytest.importorskip('spconv.pytorch')
CLASSES = {'car': (10, 252), 'bus': (20, ), 'bicyclist': (31, 253), 'road': (40, 60),
           'sidewalk': (48, ), 'building': (50, ), 'vegetation': (70, ), 'parking': (44, )}
THINGS = [0, 1, 2]
IGNORED = len(CLASSES)
OPTIONS = dict(
    voxel=True, voxel_type='minkunet', batch_first=True,
    voxel_layer=dict(max_num_points=-1, point_cloud_range=[-100, -100, -20, 100, 100, 20],
                     voxel_size=[1., 1., 2.], max_voxels=(-1, -1)))


@pytest.fixture
def model():
    import nclr_plugin  # noqa: F401
    from nclr_plugin.utils.devices import set_sparse_algorithm
    init_default_scope('mmdet3d')
    torch.manual_seed(0)
    model = MODELS.build(dict(
        type='PanopticMinkUNet',
        data_preprocessor=dict(
            type='SegDataPreprocessor', voxel=True, voxel_type='minkunet', batch_first=True,
            max_voxels=None,
            voxel_layer=dict(max_num_points=-1, point_cloud_range=[-50, -50, -5, 50, 50, 5],
                             voxel_size=[0.3, 0.3, 0.3], max_voxels=(-1, -1))),
        backbone=dict(type='SplitMinkUNet', base_channels=16, encoder_channels=(16, 32, 32),
                      encoder_blocks=(1, 1, 1), decoder_channels=(32, 32, 32),
                      decoder_blocks=(1, 1, 1), batch_stats_in_eval=True),
        decode_head=dict(type='LovaszMinkUNetHead', channels=32, num_classes=len(CLASSES),
                         dropout_ratio=0, ignore_index=IGNORED, lovasz_weight=6.,
                         loss_decode=dict(type='mmdet.CrossEntropyLoss', avg_non_ignore=True,
                                          loss_weight=2.)),
        offset_head=dict(type='OffsetHead', channels=32, thing_classes=THINGS),
        test_cfg=dict(bandwidth=1.2, min_points=50)))
    set_sparse_algorithm(model, 'cpu')
    return model


def pack(points, semantic, instance):
    from mmdet3d.structures import Det3DDataSample, PointData
    sample = Det3DDataSample()
    sample.gt_pts_seg = PointData(pts_semantic_mask=torch.from_numpy(semantic),
                                  pts_instance_mask=torch.from_numpy(instance))
    return torch.from_numpy(points), sample


def collate(*scans):
    points, samples = zip(*(pack(*scan) for scan in scans))
    return dict(inputs=dict(points=list(points)), data_samples=list(samples))


@pytest.fixture(scope='module')
def real(shared_data):
    """Points within 12 m of the labelled scan, classes and instances."""
    folder = shared_data / 'semantickitti_scan' / 'sequences' / '92'
    points = np.fromfile(next((folder / 'velodyne').iterdir()), np.float32).reshape(-1, 4)
    label = np.fromfile(next((folder / 'labels').iterdir()), np.uint32).astype(np.int64)
    near = np.abs(points[:, :2]).max(axis=1) < 12
    points, label = points[near], label[near]
    semantic = np.full(len(points), IGNORED)
    for index, raw in enumerate(CLASSES.values()):
        semantic[np.isin(label & 0xFFFF, raw)] = index
    return points, semantic, label >> 16


@pytest.fixture
def blobs():
    """Two scans of different size, an object of 80 points in each, on a floor."""
    rng = np.random.default_rng(0)

    def scan(floor):
        points = np.concatenate([rng.uniform(-8, 8, (floor, 4)) * (1, 1, 0.01, 0.1),
                                 rng.normal(0, 0.3, (80, 4)) + (3, 3, 1, 0)])
        thing = np.arange(len(points)) >= floor
        return points.astype(np.float32), np.where(thing, 0, 3), thing.astype(np.int64)

    return scan(400), scan(900)


def test_loss_and_gradients(model, blobs):
    losses = model(**model.data_preprocessor(collate(*blobs), True), mode='loss')
    assert set(losses) == {'loss_ce', 'loss_lovasz', 'loss_offset'}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_batch_equals_its_scans(model, blobs):
    model.eval()
    model.backbone.batch_stats_in_eval = False
    model.backbone.eval()
    with torch.no_grad():
        together = model.test_step(collate(*blobs))
        alone = [model.test_step(collate(scan))[0] for scan in blobs]
    for batched, single, scan in zip(together, alone, blobs):
        for name in ('pts_semantic_mask', 'pts_instance_mask'):
            assert len(batched.pred_pts_seg[name]) == len(scan[0])
            assert (batched.pred_pts_seg[name] == single.pred_pts_seg[name]).float().mean() > 0.99


def test_instances_are_clusters_of_predicted_centres(model, blobs, monkeypatch):
    """With the true offsets and classes, the objects come out."""
    points, semantic, instance = blobs[0]
    batch = model.data_preprocessor(collate(blobs[0]))
    centres = torch.from_numpy(np.where(instance[:, None] > 0, [3., 3, 1], points[:, :3]))
    logits = torch.nn.functional.one_hot(torch.from_numpy(semantic), len(CLASSES)).float()
    monkeypatch.setattr(model, '_centres', lambda *_: [centres])
    monkeypatch.setattr(model.decode_head, 'predict', lambda *_: [logits])
    found = model(**batch, mode='predict')[0].pred_pts_seg
    np.testing.assert_array_equal(found.pts_semantic_mask, semantic)
    np.testing.assert_array_equal(found.pts_instance_mask, instance)


def test_a_limit_on_voxels_is_refused(model, blobs):
    model.data_preprocessor.max_voxels = 50
    with pytest.raises(ValueError, match='max_voxels.*PointSample'):
        model(**model.data_preprocessor(collate(*blobs), True), mode='loss')


def test_a_real_scan_is_learned(model, real):
    """Heads, offsets, clustering and metric together."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=25)
    batch = model.data_preprocessor(collate(real), True)
    for _ in range(25):
        losses = model(**batch, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        found = model.test_step(collate(real))[0]
    metric = METRICS.build(dict(
        type='PanopticMetric', thing_class_inds=THINGS, min_num_points=50))
    metric.dataset_meta = dict(classes=tuple(CLASSES), ignore_index=IGNORED)
    metric.process({}, [dict(
        pred_pts_seg=dict(found.pred_pts_seg.items()),
        eval_ann_info=dict(pts_semantic_mask=real[1], pts_instance_mask=real[2]))])
    figures = metric.compute_metrics(metric.results)
    assert figures['pq'] > 0.7 and figures['pq_things'] > 0.6, figures


def test_a_network_that_has_diverged_is_reported(model, blobs):
    torch.nn.init.constant_(model.offset_head.layers[-1].bias, float('nan'))
    with pytest.raises(FloatingPointError, match='lower learning rate'):
        model.test_step(collate(blobs[0]))


MODEL = dict(
    data_preprocessor=dict(
        type='SegDataPreprocessor', voxel=True, voxel_type='minkunet', batch_first=True,
        voxel_layer=dict(max_num_points=-1, point_cloud_range=[-100, -100, -20, 100, 100, 20],
                         voxel_size=[1., 1., 1.], max_voxels=(-1, -1))),
    backbone=dict(
        type='SplitMinkUNet', base_channels=4, encoder_channels=(4, 8), encoder_blocks=(1, 1),
        decoder_channels=(8, 4), decoder_blocks=(1, 1)),
    decode_head=dict(
        type='mmdet3d.MinkUNetHead', channels=4, num_classes=3, ignore_index=3,
        loss_decode=dict(type='mmdet.CrossEntropyLoss', avg_non_ignore=True)))


@pytest.fixture
def step(batch):
    """Function: kind of model -> the model after one backward pass in training."""
    from mmdet3d.utils import register_all_modules
    register_all_modules()

    def run(kind):
        torch.manual_seed(0)
        model = MODELS.build(dict(type=kind, **MODEL)).train()
        set_sparse_algorithm(model, 'cpu')
        data = model.data_preprocessor(batch(), True)
        sum(model(**data, mode='loss').values()).backward()
        return model

    return run


def test_fine_tuning_reaches_every_parameter(step):
    model = step('mmdet3d.MinkUNet')
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_linear_probe_trains_the_head_alone(step):
    model = step('LinearProbeMinkUNet')
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert trained == {'decode_head.conv_seg.weight', 'decode_head.conv_seg.bias'}


def test_linear_probe_keeps_the_statistics(step):
    model, tuned = step('LinearProbeMinkUNet'), step('mmdet3d.MinkUNet')
    means = {name: buffer for name, buffer in model.backbone.named_buffers() if 'mean' in name}
    assert means and all((mean == 0).all() for mean in means.values())
    assert any((buffer != 0).any() for name, buffer in tuned.backbone.named_buffers()
               if 'mean' in name)
    assert model.decode_head.training and not model.backbone.training


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
