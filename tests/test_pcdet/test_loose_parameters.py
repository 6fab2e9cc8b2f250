"""Parameters that OpenPCDet's optimizer would not find."""
import torch
from torch import nn

from nclr_plugin.pcdet.networks import LooseParameters


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
