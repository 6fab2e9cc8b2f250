"""torchvision's image network against mmdet's."""
import subprocess
import sys

import pytest
import torch

pytest.importorskip('torchvision')
pytest.importorskip('spconv')

SETTINGS = dict(depth=18, out_indices=(0, 1, 2), out_channels=16)


def test_is_mmdets_encoder_under_its_names():
    pytest.importorskip('mmdet')
    from mmengine.registry import init_default_scope

    from nclr_plugin.models.backbones import ResNetFPN
    from nclr_plugin.pcdet.networks import TorchvisionResNetFPN
    init_default_scope('mmengine')
    torch.manual_seed(0)
    net, host = TorchvisionResNetFPN(**SETTINGS).eval(), ResNetFPN(**SETTINGS).eval()
    host.encoder.load_state_dict(net.encoder.state_dict(), strict=True)
    imgs = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        maps, expected = net.encode(imgs), host.encode(imgs)
        assert net.decode(maps).shape == host.decode(expected).shape == (2, 16, 16, 24)
    for one, other in zip(maps, expected):
        torch.testing.assert_close(one, other)
    for name in ('stride', 'level_channels', 'bottleneck_channels', 'out_channels'):
        assert getattr(net, name) == getattr(host, name)


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
