"""``init_cfg`` in a host's config: the host's initialiser against ours."""
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn

from nclr_plugin.checkpoints import NCLRPretrained, PretrainedWeightsError

PREFIX = 'point_backbone.'


def loaded_kernels(source, target):
    pairs = [(one, other) for one, other in zip(source.state_dict().values(),
                                                target.state_dict().values()) if one.dim() == 5]
    return sum(torch.equal(one, other) for one, other in pairs), len(pairs)


@pytest.mark.parametrize('prefix', ['point_backbone', None])
def test_the_hosts_initialiser_loads_no_kernel_and_ours_each(minkunet, save, equal, prefix):
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
