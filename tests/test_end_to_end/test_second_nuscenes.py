"""SECOND on nuScenes: what of it is mmdet3d's, the pretrained encoder inside, a training step."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'detection' / 'second_nuscenes.py'
UPSTREAM = {
    'pillars': 'pointpillars/pointpillars_hv_secfpn_sbn-all_8xb4-2x_nus-3d.py',
    'centerpoint': 'centerpoint/centerpoint_voxel01_second_secfpn_8xb4-cyclic-20e_nus-3d.py',
}
RANGE = [-51.2, -51.2, -5, 51.2, 51.2, 3]


@pytest.fixture(scope='module')
def upstream():
    import mmdet3d
    folder = Path(mmdet3d.__file__).parent / '.mim' / 'configs'
    return {name: Config.fromfile(str(folder / path)) for name, path in UPSTREAM.items()}


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.delenv('NCLR_NUSCENES_ROOT', raising=False)
    config = Config.fromfile(str(CONFIG))
    config.model.init_cfg.checkpoint = str(tmp_path / 'nclr.pth')
    return config


def in_range(node):
    """A setting as plain containers, whatever its scope, in the range of CenterPoint."""
    if isinstance(node, dict):
        return {key: RANGE if key == 'point_cloud_range' else in_range(value)
                for key, value in node.items() if key != '_scope_'}
    return [in_range(value) for value in node] if isinstance(node, (list, tuple)) else node


def test_data_anchors_and_schedule_are_mmdet3ds(config, upstream):
    pillars = upstream['pillars']
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator',
                 'test_evaluator', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert in_range(config[name]) == in_range(pillars[name]), name
    head, their_head = (in_range(each.model.pts_bbox_head) for each in (config, pillars))
    ours, theirs = head.pop('anchor_generator'), their_head.pop('anchor_generator')
    assert {name for name in head if head[name] != their_head[name]} == {
        'in_channels', 'feat_channels'}
    assert [[edge[2], edge[5]] for edge in ours.pop('ranges')] == [
        [edge[2], edge[5]] for edge in theirs.pop('ranges')]
    assert ours == theirs
    for name in ('train_cfg', 'test_cfg'):
        assert in_range(config.model[name]) == in_range(pillars.model[name])


def test_networks_are_those_of_centerpoint(config, upstream):
    ours, theirs = config.model, upstream['centerpoint'].model
    for part, names in (('data_preprocessor', ('voxel_layer', )),
                        ('pts_voxel_encoder', ('type', 'num_features')),
                        ('pts_middle_encoder', ('type', 'in_channels', 'encoder_channels',
                                                'sparse_shape', 'encoder_paddings', 'block_type')),
                        ('pts_backbone', ('in_channels', 'out_channels', 'layer_nums',
                                          'layer_strides')),
                        ('pts_neck', ('in_channels', 'out_channels', 'upsample_strides'))):
        for name in names:
            assert in_range(ours[part][name]) == in_range(theirs[part][name]), (part, name)


def test_trains_with_every_tensor_of_the_encoder(config, tmp_path):
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
    from mmengine.registry import MODELS, init_default_scope
    from mmengine.structures import InstanceData

    from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder
    from nclr_plugin.utils.devices import set_sparse_algorithm
    torch.manual_seed(0)
    init_default_scope(config.default_scope)
    pretraining = Config.fromfile(str(
        CONFIG.parents[1] / 'nclr' / 'nclr_centerpoint_nuscenes.py')).model.point_backbone
    assert pretraining.pop('type') == 'SplitSparseEncoder'
    weights = SplitSparseEncoder(**pretraining).state_dict()
    torch.save(dict(meta={}, state_dict={
        f'point_backbone.{key}': value for key, value in weights.items()}), tmp_path / 'nclr.pth')
    # A smaller range, for a quick step.
    config.model.data_preprocessor.voxel_layer.point_cloud_range = [-12.8, -12.8, -5, 12.8, 12.8, 3]
    config.model.pts_middle_encoder.sparse_shape = [41, 256, 256]
    config.model.pts_backbone.layer_nums = [1, 1]
    generator = config.model.pts_bbox_head.anchor_generator
    generator.ranges = [[-12.8, -12.8, low, 12.8, 12.8, high]
                        for _, _, low, _, _, high in generator.ranges]
    model = MODELS.build(config.model)
    model.init_weights()
    loaded = model.pts_middle_encoder.state_dict()
    assert len(loaded) > 100
    assert all(torch.equal(value, weights[key]) for key, value in loaded.items())

    set_sparse_algorithm(model, 'cpu')
    points = torch.rand(500, 5) * torch.tensor([24., 24, 2, 255, 0]) - torch.tensor(
        [12., 12, 2, 0, 0])
    sample = Det3DDataSample(metainfo=dict(box_type_3d=LiDARInstance3DBoxes))
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(torch.tensor(
            [[5., 3, -1.8, 4.6, 1.9, 1.7, 0.3, 1., 0.]]), box_dim=9),
        labels_3d=torch.tensor([0]))
    batch = model.data_preprocessor(dict(inputs=dict(points=[points]), data_samples=[sample]), True)
    loss, _ = model.parse_losses(model.train()(**batch, mode='loss'))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.abs().sum() > 0 for p in model.pts_middle_encoder.parameters())
