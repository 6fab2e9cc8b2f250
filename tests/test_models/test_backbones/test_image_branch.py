"""Shapes, freezing and weight sources of the image branch."""
from http.client import IncompleteRead
from urllib.error import URLError

import pytest
import torch
from mmengine.runner import CheckpointLoader

pytest.importorskip('mmdet')
from nclr_plugin.models.backbones import ResNetFPN  # noqa: E402


def _small(**kwargs):
    return ResNetFPN(depth=18, base_channels=8, out_channels=16, **kwargs)


@pytest.mark.parametrize('out_indices, last', [((0, 1, 2, 3), 32), ((0, 1, 2), 16)])
def test_strides_and_channels(out_indices, last):
    branch = _small(out_indices=out_indices)
    maps = branch.encode(torch.randn(2, 3, 64, 96))
    assert maps[-1].shape == (2, branch.bottleneck_channels, 64 // last, 96 // last)
    assert branch.decode(maps).shape == (2, 16, 16, 24)


def test_every_parameter_gets_a_gradient():
    branch = _small()
    branch(torch.randn(2, 3, 64, 96)).square().sum().backward()
    assert [n for n, p in branch.named_parameters() if p.grad is None] == []


def test_frozen_encoder_stays_as_it_is_in_training():
    branch = _small(frozen=True).train()
    before = {k: v.clone() for k, v in branch.encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in branch.parameters() if p.requires_grad], 0.1)
    branch(torch.randn(2, 3, 64, 96)).square().sum().backward()
    optimizer.step()
    for key, value in branch.encoder.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert branch.decoder.lateral_convs[0].conv.weight.grad.abs().max() > 0


def test_weights_of_a_local_file_arrive(tmp_path):
    donor = _small()
    torch.save(dict(state_dict=donor.encoder.state_dict()), tmp_path / 'resnet.pth')
    branch = _small(weights=str(tmp_path / 'resnet.pth'))
    branch.init_weights()
    for key, value in branch.encoder.state_dict().items():
        assert torch.equal(value, donor.encoder.state_dict()[key]), key


def test_counters_classifier_and_later_stages_do_not_matter(tmp_path):
    donor = _small()
    state = {name: tensor for name, tensor in donor.encoder.state_dict().items()
             if not name.endswith('num_batches_tracked')}
    torch.save({**state, 'fc.weight': torch.zeros(3, 4)}, tmp_path / 'resnet.pth')
    branch = _small(weights=str(tmp_path / 'resnet.pth'), out_indices=(0, 1, 2))
    branch.init_weights()
    for key, value in branch.encoder.named_parameters():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize('spoil, message', [
    (lambda state: {f'other_{name}': tensor for name, tensor in state.items()}, 'prefix'),
    (lambda state: {name: tensor.repeat(2) for name, tensor in state.items() if tensor.dim() == 1},
     'another checkpoint'),
    (lambda state: {name: tensor for name, tensor in state.items() if 'layer2.1.bn1' not in name},
     'missing 4: layer2.1.bn1.weight'),
    (lambda state: {**state, 'conv1.weight': torch.zeros(8, 1, 7, 7)},
     r'mismatched 1: conv1.weight \(8, 1, 7, 7\) in the file')],
    ids=['other names', 'other width', 'a layer is missing', 'other images'])
def test_weights_of_another_network_are_refused(tmp_path, spoil, message):
    from nclr_plugin.checkpoints import PretrainedWeightsError
    torch.save(spoil(_small().encoder.state_dict()), tmp_path / 'other.pth')
    with pytest.raises(PretrainedWeightsError, match=message):
        _small(weights=str(tmp_path / 'other.pth')).init_weights()


def test_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        _small(weights='nowhere.pth').init_weights()


@pytest.mark.parametrize('error', [URLError('no network'), TimeoutError('timed out'),
                                   ConnectionResetError(104, 'reset'), IncompleteRead(b''),
                                   ImportError('no torchvision')],
                         ids=lambda error: type(error).__name__)
@pytest.mark.parametrize('name', ['torchvision://resnet18', 'https://example.org/resnet18.pth'])
def test_weights_that_cannot_be_reached_stop_training_with_the_ways_out(monkeypatch, name, error):
    from nclr_plugin.checkpoints import PretrainedWeightsError

    def unreachable(*args, **kwargs):
        raise error

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', unreachable)
    branch = _small(weights=name)
    with pytest.raises(PretrainedWeightsError) as caught:
        branch.init_weights()
    message = str(caught.value)
    assert name in message and type(error).__name__ in message and len(message.splitlines()) == 1
    assert 'give its path, or None for random weights' in message


def test_random_weights_are_for_those_who_ask_for_them(monkeypatch):
    def unreachable(*args, **kwargs):
        raise AssertionError('nothing is to be loaded')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', unreachable)
    branch = _small(weights=None)
    before = branch.state_dict()['encoder.conv1.weight'].clone()
    branch.init_weights()
    after = branch.state_dict()['encoder.conv1.weight']
    assert after.isfinite().all() and after.std() > 0 and not torch.equal(before, after)


def test_a_self_supervised_resnet_50_under_torchvisions_names_arrives_whole(tmp_path):
    """DINO's file: the state dict of torchvision's network, its classifier taken away."""
    torchvision = pytest.importorskip('torchvision')
    torch.manual_seed(1)
    donor = torchvision.models.resnet50(weights=None)
    donor.fc = torch.nn.Identity()
    torch.save(donor.state_dict(), tmp_path / 'dino_resnet50_pretrain.pth')
    branch = ResNetFPN(depth=50, weights=str(tmp_path / 'dino_resnet50_pretrain.pth'))
    branch.init_weights()
    imgs = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        branch.eval(), donor.eval()
        expected = donor.layer1(donor.maxpool(donor.relu(donor.bn1(donor.conv1(imgs)))))
        for stage, found in enumerate(branch.encode(imgs), 1):
            if stage > 1:
                expected = getattr(donor, f'layer{stage}')(expected)
            torch.testing.assert_close(found, expected)
