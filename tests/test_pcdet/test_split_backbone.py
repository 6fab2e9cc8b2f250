"""A VoxelBackBone8x against mmdet3d's encoder, without OpenPCDet."""
import pytest
import torch
from torch import nn

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from nclr_plugin.models.backbones.voxelnet import SplitSparseEncoder  # noqa: E402
from nclr_plugin.models.layers.voxelization import voxelize  # noqa: E402
from nclr_plugin.pcdet.networks import SplitVoxelBackBone8x  # noqa: E402
from nclr_plugin.utils.sparse import set_sparse_algorithm  # noqa: E402


@pytest.fixture
def reference():
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
