"""Weights arrive whatever file they come from, or an error says why they do not."""
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from nclr_plugin.checkpoints import (LoadReport, NCLRPretrained, PretrainedWeightsError,
                                     load_pretrained, read_state_dict)
from nclr_plugin.checkpoints.loading import check_state_dict
from nclr_plugin.errors import BrokenCheckpointError, CheckpointMismatchError


@pytest.mark.parametrize('prefix', ['', 'point_backbone.', 'backbone.', 'module.point_backbone.'])
def test_a_pretraining_checkpoint(minkunet, save, equal, prefix):
    source, target = minkunet(), minkunet(seed=1)
    path = save(source.state_dict(), prefix=prefix, meta={})
    report = load_pretrained(target, path)
    assert equal(source, target)
    assert report.matched == [name for name in target.state_dict()
                              if not name.endswith('num_batches_tracked')]
    assert report.match_ratio == 1
    assert not report.missing + report.unexpected + report.reshaped + report.mismatched
    assert report.prefix == prefix.replace('module.', '')


@pytest.mark.parametrize('entry', ['state_dict', 'model_state', 'model', None])
def test_where_frameworks_keep_the_tensors(minkunet, save, equal, entry):
    source, target = minkunet(), minkunet(seed=1)
    load_pretrained(target, save(source.state_dict(), entry))
    assert equal(source, target)


@pytest.mark.parametrize('minkowski', [False, True], ids=['TorchSparse', 'MinkowskiEngine'])
@pytest.mark.parametrize('prefix', ['encoder.', 'backbone.', 'model_points.', ''])
def test_published_minkunets(minkunet, published, save, equal, minkowski, prefix):
    """Of NCLR and BEVContrast (encoder), ALSO (backbone), SegContrast (none)."""
    source, target = minkunet(), minkunet(seed=1)
    state = dict(published(source, minkowski), **{'final.0.weight': torch.zeros(19, 8)})
    report = load_pretrained(target, save(state, prefix=prefix))
    assert equal(source, target)
    kernels = [name for name, tensor in target.state_dict().items() if tensor.dim() == 5]
    assert report.reshaped == kernels and len(kernels) == 49
    assert report.unexpected == ['final.0.weight']


def test_published_spvcnn(published, save, equal, spvcnn):
    """Its point branch has mmdet3d's names."""
    source, target = spvcnn(0), spvcnn(1)
    load_pretrained(target, save(published(source), prefix='encoder.'))
    assert equal(source, target)


def test_openpcdets_encoder(sparse_encoder, openpcdet_shapes, save):
    target = sparse_encoder()
    state = {name: torch.rand(shape) for name, shape in openpcdet_shapes.items()}
    others = {'dense_head.conv_cls.weight': torch.zeros(1)}
    path = save({**{f'backbone_3d.{name}': t for name, t in state.items()}, **others},
                'model_state')
    assert load_pretrained(target, path).prefix == 'backbone_3d.'
    loaded = target.state_dict()
    assert torch.equal(loaded['conv_out.0.weight'], state['conv_out.0.weight'])
    assert torch.equal(loaded['encoder_layers.encoder_layer3.1.0.weight'],
                       state['conv3.1.0.weight'])


def test_spconv_1_kernels(sparse_encoder, save, equal):
    source, target = sparse_encoder(), sparse_encoder(1)
    state = {name: tensor.permute(1, 2, 3, 4, 0) if tensor.dim() == 5 else tensor
             for name, tensor in source.state_dict().items()}
    report = load_pretrained(target, save(state))
    assert equal(source, target) and len(report.reshaped) == 12


def test_part_of_a_backbone(minkunet, save):
    source, target = minkunet(), minkunet(seed=1)
    state = source.state_dict()
    del state['decoder.3.1.1.conv2.weight']
    state['conv_input.0.0.weight'] = state['conv_input.0.0.weight'][..., :2]  # of what?
    path = save(state)
    before = target.state_dict()['conv_input.0.0.weight'].clone()
    with pytest.raises(PretrainedWeightsError) as error:
        load_pretrained(target, path)
    for text in ('missing 1: decoder.3.1.1.conv2.weight', 'at least 100%',
                 'conv_input.0.0.weight (8, 3, 3, 3, 2) in the file, (8, 3, 3, 3, 4) in the model'):
        assert text in str(error.value)
    assert torch.equal(target.state_dict()['conv_input.0.1.weight'],
                       minkunet(seed=1).state_dict()['conv_input.0.1.weight'])  # nothing changed
    report = load_pretrained(target, path, min_match=0.99)
    assert len(report.missing) == len(report.mismatched) == 1
    assert torch.equal(target.state_dict()['conv_input.0.0.weight'], before)


@pytest.mark.parametrize('blocks', [1, 2])
def test_another_width(minkunet, save, blocks):
    wide = minkunet(width=16, blocks=blocks)
    with pytest.raises(PretrainedWeightsError) as error:
        load_pretrained(minkunet(), save(wide.state_dict(), prefix='backbone.'))
    assert 'conv_input.0.0.weight (16, 3, 3, 3, 4) in the file, (8, 3, 3, 3, 4)' in str(error.value)
    assert "build the model with the checkpoint's widths" in str(error.value)


def test_a_detector_for_a_segmentor_and_the_reverse(minkunet, sparse_encoder, save):
    detector = save(sparse_encoder().state_dict(), prefix='middle_encoder.', name='detector.pth')
    segmentor = save(minkunet().state_dict(), prefix='backbone.', name='segmentor.pth')
    with pytest.raises(PretrainedWeightsError) as error:
        load_pretrained(minkunet(), detector)
    assert 'detector.pth' in str(error.value) and 'looks like a SparseEncoder' in str(error.value)
    assert 'MinkUNetBackbone, which looks like a MinkUNet' in str(error.value)
    with pytest.raises(PretrainedWeightsError, match='checkpoint looks like a MinkUNet'):
        load_pretrained(sparse_encoder(), segmentor)


def test_a_file_of_something_else(minkunet, save, tmp_path):
    with pytest.raises(PretrainedWeightsError, match='0 of 245 .*(\n.*)*give the right prefix'):
        load_pretrained(minkunet(), save(torch.nn.Linear(2, 2).state_dict()), min_match=0)
    with pytest.raises(PretrainedWeightsError, match='0 of 245'):
        load_pretrained(minkunet(), save(minkunet().state_dict(), prefix='a.'), prefix='b')
    with pytest.raises(PretrainedWeightsError, match="found \\['epoch', 'it'\\]"):
        read_state_dict(save({}, 'it', epoch=3))
    with pytest.raises(FileNotFoundError, match='no.pth'):
        load_pretrained(minkunet(), str(tmp_path / 'no.pth'))
    (tmp_path / 'cut.pth').write_bytes(b'PK')
    with pytest.raises(BrokenCheckpointError, match='cut.pth.*found 2 bytes'):
        load_pretrained(minkunet(), str(tmp_path / 'cut.pth'))


def test_weights_that_do_not_arrive_are_noticed(save):
    class Stubborn(torch.nn.Linear):
        def _load_from_state_dict(self, *args):
            pass

    path = save(torch.nn.Linear(2, 2).state_dict())
    with pytest.raises(PretrainedWeightsError, match='2 of 2 tensors of Stubborn do not have'):
        load_pretrained(Stubborn(2, 2), path)


def test_a_report_names_the_first_of_each_kind():
    report = LoadReport('a.pth', matched=list('abcde'), missing=['f'], unexpected=['g'])
    assert report.match_ratio == 5 / 6
    text = report.summary()
    assert 'a.pth: 5 of 6' in text and 'matched 5: a, b, c, ...' in text and 'missing 1: f' in text


PREFIX = 'point_backbone.'


def loaded_kernels(source, target):
    pairs = [(one, other) for one, other in zip(source.state_dict().values(),
                                                target.state_dict().values()) if one.dim() == 5]
    return sum(torch.equal(one, other) for one, other in pairs), len(pairs)


@pytest.mark.parametrize('prefix', ['point_backbone', None])
def test_mmdet3ds_initialiser_loads_no_kernel_and_ours_each(minkunet, save, equal, prefix):
    source = minkunet()
    path = save(source.state_dict(), prefix=PREFIX)
    theirs = minkunet(seed=1, init_cfg=dict(type='Pretrained', checkpoint=path,
                                            prefix='point_backbone'))
    theirs.init_weights()
    assert loaded_kernels(source, theirs) == (0, 49)
    assert torch.equal(source.conv_input[0][1].weight, theirs.conv_input[0][1].weight)

    ours = minkunet(seed=1, init_cfg=dict(type='NCLRPretrained', checkpoint=path, prefix=prefix))
    ours.init_weights()
    assert loaded_kernels(source, ours) == (49, 49) and equal(source, ours)


@pytest.mark.parametrize('checkpoint', [None, ''])
def test_no_checkpoint_is_from_scratch(minkunet, equal, checkpoint):
    net = minkunet(seed=1, init_cfg=dict(type='NCLRPretrained', checkpoint=checkpoint))
    net.init_weights()
    assert equal(net, minkunet(seed=1))


def test_errors_come_before_training(minkunet, save):
    net = minkunet(init_cfg=dict(type='NCLRPretrained',
                                 checkpoint=save(minkunet(width=16).state_dict())))
    with pytest.raises(PretrainedWeightsError, match='in the file'):
        net.init_weights()


class Child(BaseModule):
    def __init__(self):
        super().__init__(init_cfg=dict(type='Constant', layer='Linear', val=7))
        self.linear = nn.Linear(2, 2)


class Parent(BaseModule):
    def __init__(self, init_cfg=None):
        super().__init__(init_cfg)
        self.child = Child()
        self.plain = nn.Linear(2, 2)


def test_children_do_not_overwrite_what_is_loaded(save, equal):
    source = Parent()
    net = Parent([dict(type='NCLRPretrained', checkpoint=save(source.state_dict()))])
    net.init_weights()
    assert equal(source, net)
    assert not torch.equal(net.child.linear.weight, torch.full((2, 2), 7.))


def test_a_part_of_a_detector(save):
    """For backbones that take no init_cfg, such as mmdet3d's SparseEncoder."""
    source = nn.Linear(2, 2)
    path = save(source.state_dict(), prefix=PREFIX)
    net = Parent(dict(type='NCLRPretrained', checkpoint=path, submodule='plain'))
    net.init_weights()
    assert torch.equal(net.plain.weight, source.weight)
    assert torch.equal(net.child.linear.weight, torch.full((2, 2), 7.))
    with pytest.raises(AttributeError, match='middle_encoder'):
        NCLRPretrained(path, submodule='middle_encoder')(net)


def test_a_backbone_that_is_a_part_is_said_to_be(minkunet, save):
    model = nn.Module()
    model.backbone = minkunet()
    path = save(minkunet().state_dict(), prefix=PREFIX)
    with pytest.raises(PretrainedWeightsError, match="submodule='middle_encoder'"):
        NCLRPretrained(path)(model)
    NCLRPretrained(path, submodule='backbone')(model)


def test_it_is_in_the_root_registry():
    assert WEIGHT_INITIALIZERS.get('NCLRPretrained') is NCLRPretrained


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_the_models_own_state_passes_with_and_without_the_wrappers_prefix():
    state = model().state_dict()
    assert check_state_dict(model(), state) == 1
    assert check_state_dict(model(), {f'module.{k}': v for k, v in state.items()}) == 1


def test_share_of_a_part_is_counted():
    state = {k: v for k, v in model().state_dict().items() if k.startswith('0.')}
    assert check_state_dict(model(), state, min_match=0.2) == pytest.approx(2 / 6)
    with pytest.raises(CheckpointMismatchError, match='2 of the 6 .* missing 4: 1.weight'):
        check_state_dict(model(), state)


def test_counters_of_norms_are_no_weights():
    state = {k: v for k, v in model().state_dict().items() if 'num_batches' not in k}
    assert check_state_dict(model(), state) == 1
    counters = {k: v for k, v in model().state_dict().items() if 'num_batches' in k}
    with pytest.raises(CheckpointMismatchError, match='0 of the 6 .* unexpected 0'):
        check_state_dict(model(), counters, min_match=0.1)


def test_a_prefix_demands_a_part():
    state = {k: v for k, v in model().state_dict().items() if k.startswith('0.')}
    state['1.weight'] = torch.zeros(9)
    assert check_state_dict(model(), state, prefix='0.') == 1
    with pytest.raises(CheckpointMismatchError, match=r'0 of the 4 tensors 1\.\* of Sequential'):
        check_state_dict(model(), state, prefix='1.')


def test_other_sizes_and_names_are_named():
    state = model().state_dict()
    state['0.weight'] = torch.zeros(3, 5)
    state['head.bias'] = torch.zeros(1)
    with pytest.raises(CheckpointMismatchError,
                       match=r'0.weight \(3, 5\) for \(3, 2\); unexpected 1: head.bias'):
        check_state_dict(model(), state)


def test_permuted_kernel_passes():
    conv = nn.Conv3d(2, 5, 3)
    state = conv.state_dict()
    state['weight'] = state['weight'].permute(2, 3, 4, 1, 0)
    assert check_state_dict(conv, state) == 1


def test_a_sparse_kernel_without_its_version():
    """mmdet3d would permute it once more, and leave the module unchanged."""
    spconv = pytest.importorskip('spconv.pytorch')
    conv = spconv.SubMConv3d(2, 5, 3)
    state = conv.state_dict()
    assert check_state_dict(conv, state) == 1
    with pytest.raises(CheckpointMismatchError, match='weight without _metadata'):
        check_state_dict(conv, dict(state))
    # Kernels as spconv 1 has them have no version, either, and are permuted as they should.
    assert check_state_dict(conv, dict(state, weight=state['weight'].permute(1, 2, 3, 4, 0))) == 1
