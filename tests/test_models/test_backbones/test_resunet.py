"""ResUNet: MinkUNet but for its first convolution. Its values: test_dense.py."""
import pytest
import torch

pytest.importorskip('mmdet3d')
pytest.importorskip('spconv')
from nclr_plugin.models.backbones.minkunet import SplitMinkUNet  # noqa: E402
from nclr_plugin.models.backbones.resunet import SplitResUNet  # noqa: E402
from nclr_plugin.utils.sparse import set_sparse_algorithm  # noqa: E402


@pytest.mark.parametrize('blocks', [(2, 2, 2, 2), (2, 3, 4, 6)], ids=['18', '34'])
def test_keys_are_those_of_minkunet_without_its_second_convolution(blocks):
    keys = list(SplitMinkUNet(encoder_blocks=blocks).state_dict())
    assert list(SplitResUNet(encoder_blocks=blocks).state_dict()) == [
        key for key in keys if not key.startswith('conv_input.1.')]


def test_first_level_has_seen_the_neighbours_of_a_voxel_and_no_more():
    net = SplitResUNet(in_channels=1).eval()
    set_sparse_algorithm(net, 'cpu')
    feats = torch.ones(5, 1, requires_grad=True)
    coors = torch.tensor([[0, 0, 0, z] for z in range(5)]).int()
    net.encode(feats, coors)[0].features[2].sum().backward()
    assert (feats.grad[:, 0] != 0).tolist() == [False, True, True, True, False]
