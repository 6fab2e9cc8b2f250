import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import nclr_plugin  # noqa: F401  (lets modules follow their device)
from nclr_plugin.utils.devices import follow_input, set_sparse_algorithm

spconv = pytest.importorskip('spconv.pytorch')


def test_native_on_cpu_and_untouched_on_cuda():
    model = nn.ModuleDict(dict(conv=spconv.SubMConv3d(2, 2, 3), pool=spconv.SparseMaxPool3d(2),
                               dense=nn.Conv2d(1, 1, 1)))
    before = model['conv'].algo
    assert before != spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cuda:0') == 0
    assert model['conv'].algo == before
    assert set_sparse_algorithm(model, 'cpu') == 2
    assert model['conv'].algo == model['pool'].algo == spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cpu') == 0


def test_back_on_cuda_as_it_was_built():
    model = nn.Sequential(spconv.SubMConv3d(2, 2, 3),
                          spconv.SubMConv3d(2, 2, 3, algo=spconv.ConvAlgo.Native))
    before = [module.algo for module in model]
    assert set_sparse_algorithm(model, 'cpu') == 1
    assert set_sparse_algorithm(copy.deepcopy(model), 'cuda') == 1
    assert set_sparse_algorithm(model, 'cuda:1') == 1
    assert [module.algo for module in model] == before
    assert set_sparse_algorithm(model, 'cuda') == 0


def voxels(features):
    indices = torch.tensor([[0, 1, 1, 1], [0, 1, 2, 1]], dtype=torch.int32)
    return spconv.SparseConvTensor(features, indices, [4, 4, 4], 1)


@pytest.mark.parametrize('container', [
    lambda *layers: spconv.SparseSequential(*layers),
    lambda *layers: nn.Sequential(nn.ModuleList([nn.Sequential(*layers)])[0]),
    lambda *layers: copy.deepcopy(spconv.SparseSequential(*layers)),
], ids=['sparse', 'nested', 'copied'])
def test_a_model_without_a_runner_runs_where_it_is(container):
    model = container(spconv.SubMConv3d(2, 4, 3), spconv.SparseConv3d(4, 4, 3, stride=2))
    features = torch.randn(2, 2, requires_grad=True)
    model(voxels(features)).features.sum().backward()
    assert features.grad.abs().sum() > 0


def test_the_device_of_the_input_decides_each_time():
    model = nn.Sequential(spconv.SubMConv3d(2, 4, 3))
    built = model[0].algo
    for device, algorithm in (('cpu', spconv.ConvAlgo.Native), ('cuda', built),
                              ('cpu', spconv.ConvAlgo.Native)):
        features = SimpleNamespace(device=torch.device(device))
        follow_input(model[0], (SimpleNamespace(features=features), ))
        assert model[0].algo == algorithm
