"""Networks for OpenPCDet against mmdet3d's encoder and mmdet's image network."""
import subprocess
import sys

import pytest
import torch
from torch import nn

pytest.importorskip('torchvision')
pytest.importorskip('spconv')
from nclr_plugin.models.layers.voxelization import voxelize  # noqa: E402
from nclr_plugin.pcdet.networks import (LooseParameters, SplitVoxelBackBone8x,  # noqa: E402
                                        TorchvisionResNetFPN)
from nclr_plugin.utils.devices import set_sparse_algorithm  # noqa: E402

SETTINGS = dict(depth=18, out_indices=(0, 1, 2), out_channels=16)


def test_is_mmdets_encoder_under_its_names():
    pytest.importorskip('mmdet')
    from mmengine.registry import init_default_scope

    from nclr_plugin.models.backbones import ResNetFPN
    init_default_scope('mmengine')
    torch.manual_seed(0)
    net, reference = TorchvisionResNetFPN(**SETTINGS).eval(), ResNetFPN(**SETTINGS).eval()
    reference.encoder.load_state_dict(net.encoder.state_dict(), strict=True)
    imgs = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        maps, expected = net.encode(imgs), reference.encode(imgs)
        assert net.decode(maps).shape == reference.decode(expected).shape == (2, 16, 16, 24)
    for one, other in zip(maps, expected):
        torch.testing.assert_close(one, other)
    for name in ('stride', 'level_channels', 'bottleneck_channels', 'out_channels'):
        assert getattr(net, name) == getattr(reference, name)


def test_needs_nothing_of_openmmlab_but_mmengine():
    code = '''
import sys
for name in ('mmdet', 'mmdet3d', 'mmcv'):
    sys.modules[name] = None
import torch
from mmengine.registry import MODELS
import nclr_plugin.pcdet.networks
net = MODELS.build(dict(type='TorchvisionResNetFPN', depth=18, num_groups=8, weights=''))
net.init_weights()
loss = net(torch.rand(1, 3, 64, 64)).sum()
loss.backward()
unused = [name for name, p in net.named_parameters() if p.grad is None]
assert not unused, unused
'''
    done = subprocess.run([sys.executable, '-c', code], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def reference():
    pytest.importorskip('mmdet3d')
    from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder
    torch.manual_seed(0)
    net = SplitSparseEncoder(out_channels=24)
    set_sparse_algorithm(net, 'cpu')
    return net.eval()


@pytest.fixture
def encoder(reference):
    """The reference's encoder with the names and attributes of OpenPCDet's."""
    encoder = nn.Module()
    encoder.conv_input, encoder.conv_out = reference.conv_input, reference.conv_out
    for number, layer in enumerate(reference.encoder_layers, 1):
        encoder.add_module(f'conv{number}', layer)
    encoder.backbone_channels = dict(x_conv1=16, x_conv2=32, x_conv3=64, x_conv4=64)
    encoder.num_point_features = 128
    return encoder


def test_same_features_as_in_mmdet3d(reference, encoder):
    net = SplitVoxelBackBone8x(encoder, in_channels=4, out_channels=24)
    own = reference.state_dict()  # with its metadata, by which mmdet3d tells kernel layouts
    for name in [name for name in own if name.split('.')[0] not in ('tokens', 'lateral', 'mix')]:
        del own[name]
    net.load_state_dict(own, strict=True)  # nothing of the encoder, which the detector has
    set_sparse_algorithm(net, 'cpu')
    net.eval()
    voxels = voxelize([torch.rand(n, 4) * torch.tensor([6., 5., 3.9, 1.]) for n in (300, 200)],
                      (0.05, 0.05, 0.1))
    with torch.no_grad():
        expected = reference.encode(voxels.feats, voxels.coors)
        levels = net.encode(voxels.feats, voxels.coors)
        torch.testing.assert_close(net(voxels.feats, voxels.coors),
                                   reference(voxels.feats, voxels.coors))
    for level, other in zip(levels, expected):
        torch.testing.assert_close(level.features, other.features)
        assert torch.equal(level.indices, other.indices)
    assert net.level_channels == reference.level_channels
    assert (net.stride, net.bottleneck_channels) == (reference.stride, 128)


class Model(nn.Module):

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2)
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(2))
        self.loose = LooseParameters(self)


def _in_leaves(module):
    """What OpenPCDet's optimizer collects."""
    children = list(module.children())
    return [p for child in children for p in _in_leaves(child)] if children else \
        list(module.parameters())


def test_leaves_hold_every_parameter_once_more():
    model = Model()
    found = {id(p) for p in _in_leaves(model)}
    assert found == {id(p) for p in model.parameters()}
    del model.loose
    missed = found - {id(p) for p in _in_leaves(model)}
    assert missed == {id(model.scale), id(model.attention.in_proj_weight),
                      id(model.attention.in_proj_bias)}


def test_has_no_part_in_checkpoints():
    model, other = Model(), Model()
    assert not [name for name in model.state_dict() if name.startswith('loose')]
    other.load_state_dict(model.state_dict(), strict=True)
    other.double()  # as a move to another device does
    assert getattr(other.loose, '0') is other.scale and other.scale.dtype == torch.float64
