"""Published MinkUNets with fewer inputs or one convolution in the stem, in the host's."""
import pytest
import torch
from torch import nn

from nclr_plugin.checkpoints import export_backbone, load_pretrained
from nclr_plugin.checkpoints.stem import second_stem_layer
from nclr_plugin.utils.sparse import set_sparse_algorithm


def first_layer(width=6):
    torch.manual_seed(0)
    return {'conv_input.0.0.weight': torch.randn(width, 3, 3, 3, 4),
            'conv_input.0.1.weight': torch.randn(width), 'conv_input.0.1.bias': torch.randn(width)}


def test_the_norm_undoes_itself():
    """On samples of what the first norm and ReLU put out, in both modes."""
    state = first_layer()
    layer = second_stem_layer(state)
    norm = nn.BatchNorm1d(6)
    norm.load_state_dict({name[len('conv_input.1.1.'):]: tensor for name, tensor in layer.items()
                          if name.startswith('conv_input.1.1.')})
    x = torch.randn(200000, 6) * state['conv_input.0.1.weight'] + state['conv_input.0.1.bias']
    x = x.relu()
    torch.testing.assert_close(layer['conv_input.1.1.running_mean'], x.mean(0), rtol=0.02,
                               atol=0.02)
    torch.testing.assert_close(norm.eval()(x), x, rtol=1e-5, atol=1e-5)
    assert (norm.train()(x) - x).abs().max() < 0.05


def test_a_stem_that_is_complete_is_left(minkunet):
    assert second_stem_layer(minkunet().state_dict()) == {}
    assert second_stem_layer({'conv_input.0.weight': torch.zeros(1)}) == {}


@pytest.mark.parametrize('exported', [False, True])
def test_the_network_computes_the_same(minkunet, published, save, tmp_path, exported):
    source, target = minkunet(), minkunet(seed=1)
    state = {n: t for n, t in published(source).items() if n.split('.')[:2] not in (
        ['stem', '3'], ['stem', '4'])}
    path = save(state, prefix='encoder.')
    if exported:
        path, before = str(tmp_path / 'out.pth'), path
        assert len(export_backbone(before, 'mmdet3d', path).completed) == 5
    report = load_pretrained(target, path)
    assert not report.missing and (exported or len(report.completed) == 5)
    assert report.match_ratio == 1

    source.conv_input[1] = nn.Identity()
    torch.testing.assert_close(*outputs_of(source, target), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('channels, where, words', [
    (1, slice(3, 4), '(1 of 4 input channels: intensity; the others are 0)'),
    (3, slice(0, 3), '(3 of 4 input channels: x, y, z; the others are 0)')])
@pytest.mark.parametrize('minkowski', [False, True], ids=['TorchSparse', 'MinkowskiEngine'])
@pytest.mark.parametrize('exported', [False, True])
def test_a_network_that_sees_a_part_of_the_inputs(minkunet, published, save, tmp_path, channels,
                                                  where, words, minkowski, exported):
    """Of NCLR, BEVContrast and ALSO: intensity; of SegContrast without it: x, y, z."""
    source, target = minkunet(in_channels=channels), minkunet(seed=1)
    state = published(source, minkowski)
    assert state['stem.0.kernel'].shape == (27, channels, 8)
    path = save(state, prefix='encoder.')
    if exported:
        out = str(tmp_path / 'out.pth')
        report = export_backbone(path, 'mmdet3d', out)
        host = nn.Module()
        host.backbone = target
        host.load_state_dict(torch.load(out)['state_dict'], strict=True)
    else:
        report = load_pretrained(target, path)
    assert report.completed == [f'conv_input.0.0.weight {words}']
    assert '244 of 245 tensors match' in report.summary() and words in report.summary()
    assert not report.missing + report.mismatched and report.match_ratio == 1
    torch.testing.assert_close(*outputs_of(source, target, where), rtol=1e-4, atol=1e-4)


def outputs_of(source, target, where=slice(None)):
    """Of a network that sees a part of the inputs, and of one that sees all."""
    coors = torch.cat([torch.zeros(500, 1), torch.randint(0, 16, (500, 3))], 1).int().unique(dim=0)
    coors[-1, 1:] = 15
    feats = torch.rand(len(coors), 4)
    outputs = []
    for net, inputs in ((source, feats[:, where]), (target, feats)):
        set_sparse_algorithm(net.eval(), 'cpu')
        with torch.no_grad():
            outputs.append(net(inputs, coors))
    return outputs
