"""Names of published checkpoints against the names in mmdet3d."""
import pytest
import torch

from nclr_plugin.checkpoints.names import (LAYOUTS, TO_OPENPCDET, find_prefix_and_layout,
                                           looks_like, rename)

OPENPCDET = LAYOUTS['OpenPCDet']
POINT_UNET = next(rules for name, rules in LAYOUTS.items() if 'SPVNAS' in name)


def test_openpcdets_encoder_has_the_names_of_mmdet3ds(sparse_encoder, openpcdet_shapes):
    ours = {name: tuple(tensor.shape) for name, tensor in sparse_encoder().state_dict().items()}
    assert {rename(name, OPENPCDET): shape for name, shape in openpcdet_shapes.items()} == ours
    assert {rename(name, TO_OPENPCDET): shape for name, shape in ours.items()} == openpcdet_shapes


def test_openpcdets_bev_network_has_the_names_of_mmdet3ds(openpcdet_bev_names):
    backbones = pytest.importorskip('mmdet3d.models.backbones')
    necks = pytest.importorskip('mmdet3d.models.necks')
    backbone = backbones.SECOND(256, [128, 256], [5, 5], [1, 2])
    neck = necks.SECONDFPN([128, 256], [256, 256], [1, 2])
    ours = list(backbone.state_dict()) + list(neck.state_dict())
    assert sorted(rename(name, OPENPCDET) for name in openpcdet_bev_names) == sorted(ours)
    assert sorted(rename(name, TO_OPENPCDET) for name in ours) == sorted(openpcdet_bev_names)


# One name of each kind, of mmdet3d's backbone on TorchSparse and on MinkowskiEngine.
@pytest.mark.parametrize('theirs, ours', [
    ('conv_input.1.net.0.kernel', 'conv_input.1.0.weight'),
    ('conv_input.0.net.1.running_mean', 'conv_input.0.1.running_mean'),
    ('conv_input.0.net.1.bn.running_mean', 'conv_input.0.1.running_mean'),
    ('encoder.3.0.net.0.kernel', 'encoder.3.0.0.weight'),
    ('encoder.2.1.net.0.kernel', 'encoder.2.1.conv1.weight'),
    ('encoder.2.1.net.4.weight', 'encoder.2.1.bn2.weight'),
    ('encoder.2.1.net.6.kernel', 'encoder.2.1.conv3.weight'),
    ('encoder.2.1.downsample.0.kernel', 'encoder.2.1.downsample.0.weight'),
    ('encoder.2.1.downsample.net.1.bn.bias', 'encoder.2.1.downsample.1.bias'),
    ('encoder.2.1.conv1.kernel', 'encoder.2.1.conv1.weight'),
    ('encoder.2.1.norm1.bn.weight', 'encoder.2.1.bn1.weight'),
    ('decoder.0.0.net.0.kernel', 'decoder.0.0.0.weight'),
    ('decoder.0.1.0.net.3.kernel', 'decoder.0.1.0.conv2.weight'),
    ('decoder.0.1.0.downsample.1.bias', 'decoder.0.1.0.downsample.1.bias'),
    ('point_transforms.1.0.weight', 'point_transforms.1.0.weight'),
])
def test_mmdet3ds_other_sparse_libraries(theirs, ours, minkunet):
    assert rename(theirs, POINT_UNET) == ours
    if 'conv3' not in ours and 'point' not in ours:
        assert ours in minkunet().state_dict()


@pytest.mark.parametrize('minkowski', [False, True])
def test_published_names_are_mmdet3ds(minkunet, published, minkowski):
    net = minkunet()
    assert [rename(name, POINT_UNET) for name in published(net, minkowski)] == list(
        net.state_dict())


@pytest.mark.parametrize('prefix', ['', 'point_backbone.', 'model.backbone.model.backbone_3d.'])
def test_the_prefix_is_found(minkunet, published, prefix):
    wanted = minkunet().state_dict()
    for layout, names in (('mmdet3d', list(wanted)), ('SPVNAS', list(published(minkunet())))):
        others = ['image.layer1.0.conv1.weight', 'head.weight', f'{prefix}classifier.0.weight']
        found = find_prefix_and_layout(others + [prefix + n for n in names], wanted.__contains__)
        assert found[0] == prefix and layout in found[1] and found[2] == len(wanted)


def test_a_given_prefix_is_the_only_one_looked_at(minkunet):
    wanted = minkunet().state_dict()
    names = [f'model_q.{n}' for n in wanted] + [f'model_k.{n}' for n in wanted]
    find = find_prefix_and_layout
    assert find(names, wanted.__contains__)[0] == 'model_q.'
    assert find(names, wanted.__contains__, 'model_k.')[0] == 'model_k.'
    assert find(names, wanted.__contains__, 'model.')[2] == 0


def test_what_names_look_like(minkunet, sparse_encoder, published, openpcdet_shapes):
    assert looks_like(minkunet().state_dict()) == 'a MinkUNet' == looks_like(published(minkunet()))
    assert looks_like(sparse_encoder().state_dict()) == 'a SparseEncoder (mmdet3d detector)'
    assert 'OpenPCDet' in looks_like(openpcdet_shapes)
    assert looks_like(torch.nn.Linear(1, 1).state_dict()) == 'no known network'
