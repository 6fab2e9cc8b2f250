"""What the host may read without waiting for a device ("meta" stands for a GPU), and the
algorithm of sparse convolutions by device.
"""
import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import nclr_plugin  # noqa: F401  (lets modules follow their device)
from nclr_plugin.utils.devices import (constant, follow_input, on_host, set_sparse_algorithm,
                                       surely_all, to_device)

CPU, META = torch.device('cpu'), torch.device('meta')


def test_a_constant_is_made_once_for_each_type_and_device():
    first = constant((1., 2.), torch.float64, CPU)
    assert first.tolist() == [1., 2.] and first.dtype == torch.float64
    assert constant((1., 2.), torch.float64, CPU) is first
    assert constant((1., 2.), torch.float32, CPU) is not first
    assert constant((1., 2.), torch.float64, META).device == META


def test_only_masks_of_the_host_are_surely_anything():
    mask = torch.ones(3, dtype=torch.bool)
    assert on_host(mask) and surely_all(mask)
    assert not surely_all(torch.tensor([True, False]))
    assert not on_host(mask.to(META)) and not surely_all(mask.to(META))


def test_copies_keep_type_and_value():
    value = torch.arange(3)
    assert torch.equal(to_device(value, CPU), value)
    assert to_device(value, META).device == META


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_copies_reach_a_gpu():
    value = torch.arange(3)
    assert torch.equal(to_device(value, torch.device('cuda')).cpu(), value)


@pytest.fixture
def spconv():
    return pytest.importorskip('spconv.pytorch')


def test_native_on_cpu_and_untouched_on_cuda(spconv):
    model = nn.ModuleDict(dict(conv=spconv.SubMConv3d(2, 2, 3), pool=spconv.SparseMaxPool3d(2),
                               dense=nn.Conv2d(1, 1, 1)))
    before = model['conv'].algo
    assert before != spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cuda:0') == 0
    assert model['conv'].algo == before
    assert set_sparse_algorithm(model, 'cpu') == 2
    assert model['conv'].algo == model['pool'].algo == spconv.ConvAlgo.Native
    assert set_sparse_algorithm(model, 'cpu') == 0


def test_back_on_cuda_as_it_was_built(spconv):
    model = nn.Sequential(spconv.SubMConv3d(2, 2, 3),
                          spconv.SubMConv3d(2, 2, 3, algo=spconv.ConvAlgo.Native))
    before = [module.algo for module in model]
    assert set_sparse_algorithm(model, 'cpu') == 1
    assert set_sparse_algorithm(copy.deepcopy(model), 'cuda') == 1
    assert set_sparse_algorithm(model, 'cuda:1') == 1
    assert [module.algo for module in model] == before
    assert set_sparse_algorithm(model, 'cuda') == 0


@pytest.mark.parametrize('container', [
    lambda spconv, *layers: spconv.SparseSequential(*layers),
    lambda spconv, *layers: nn.Sequential(nn.ModuleList([nn.Sequential(*layers)])[0]),
    lambda spconv, *layers: copy.deepcopy(spconv.SparseSequential(*layers)),
], ids=['sparse', 'nested', 'copied'])
def test_a_model_without_a_runner_runs_where_it_is(spconv, container):
    model = container(spconv, spconv.SubMConv3d(2, 4, 3), spconv.SparseConv3d(4, 4, 3, stride=2))
    features = torch.randn(2, 2, requires_grad=True)
    indices = torch.tensor([[0, 1, 1, 1], [0, 1, 2, 1]], dtype=torch.int32)
    model(spconv.SparseConvTensor(features, indices, [4, 4, 4], 1)).features.sum().backward()
    assert features.grad.abs().sum() > 0


def test_the_device_of_the_input_decides_each_time(spconv):
    model = nn.Sequential(spconv.SubMConv3d(2, 4, 3))
    built = model[0].algo
    for device, algorithm in (('cpu', spconv.ConvAlgo.Native), ('cuda', built),
                              ('cpu', spconv.ConvAlgo.Native)):
        features = SimpleNamespace(device=torch.device(device))
        follow_input(model[0], (SimpleNamespace(features=features), ))
        assert model[0].algo == algorithm
