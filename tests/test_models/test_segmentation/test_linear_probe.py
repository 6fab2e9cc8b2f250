import pytest
import torch
from mmengine.registry import MODELS

from nclr_plugin.utils.sparse import set_sparse_algorithm

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
