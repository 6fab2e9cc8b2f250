"""The first layer's initial weights over the spread of its inputs."""
import copy

import pytest
import torch

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from mmengine.registry import MODELS  # noqa: E402

import nclr_plugin  # noqa: E402,F401
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

NET = dict(
    type='SplitMinkUNet', in_channels=4, base_channels=8, encoder_channels=(8, 8),
    encoder_blocks=(1, 1), decoder_channels=(8, 8), decoder_blocks=(1, 1))
SPREAD = (20., 10., 1., 0.25)


def build(**init_cfg):
    torch.manual_seed(0)
    net = MODELS.build(dict(**copy.deepcopy(NET), init_cfg=init_cfg or None))
    net.init_weights()
    return net


def test_only_the_first_layer_changes():
    plain = build().state_dict()
    scaled = build(type='InputScaleInit', layer='conv_input.0.0', std=SPREAD).state_dict()
    name = 'conv_input.0.0.weight'
    torch.testing.assert_close(scaled[name] * torch.tensor(SPREAD), plain[name])
    assert list(scaled) == list(plain)
    assert all(torch.equal(scaled[key], plain[key]) for key in plain if key != name)


def test_inputs_that_are_left_out_are_not_looked_at_while_training(voxels):
    net = build(type='InputScaleInit', layer='conv_input.0.0', std=(None, None, 1., 0.3))
    set_sparse_algorithm(net, 'cpu')
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1)
    weight = net.conv_input[0][0].weight
    before = weight.detach().clone()
    net(voxels.feats, voxels.coors).square().sum().backward()
    optimizer.step()
    assert (weight[..., :2] == 0).all()
    assert (weight[..., 2:] != before[..., 2:]).all()


def test_std_of_another_input_is_refused():
    with pytest.raises(ValueError, match='has 4 inputs, but std has 3 values'):
        build(type='InputScaleInit', layer='conv_input.0.0', std=SPREAD[:3])
