"""Seeds of iterations, and the algorithm of sparse convolutions."""
import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nclr_plugin.engine import IterationSeedHook, SparseAlgoHook


def draw(hook, seed, iteration):
    hook.before_train_iter(SimpleNamespace(seed=seed, iter=iteration), 0)
    return torch.rand(3)


def test_numbers_depend_on_seed_and_iteration_alone():
    hook = IterationSeedHook()
    first = draw(hook, 0, 5)
    torch.rand(7)
    assert torch.equal(draw(hook, 0, 5), first)
    assert not torch.equal(draw(hook, 0, 6), first)
    assert not torch.equal(draw(hook, 1, 5), first)


def test_own_seed_overrides_the_runners():
    assert torch.equal(draw(IterationSeedHook(seed=1), 0, 5), draw(IterationSeedHook(), 1, 5))


def test_processes_draw_different_numbers(monkeypatch):
    first = draw(IterationSeedHook(), 0, 5)
    monkeypatch.setattr('nclr_plugin.engine.hooks.runtime_hooks.get_rank', lambda: 1)
    assert not torch.equal(draw(IterationSeedHook(), 0, 5), first)


def test_model_on_cpu_trains_after_the_hook(caplog):
    spconv = pytest.importorskip('spconv.pytorch')
    model = nn.Sequential(spconv.SubMConv3d(2, 4, 3), spconv.SparseConv3d(4, 4, 3, stride=2))
    with caplog.at_level(logging.INFO):
        SparseAlgoHook().before_run(
            SimpleNamespace(model=model, logger=logging.getLogger('toy')))
    assert '2 sparse modules use the native algorithm on cpu' in caplog.text
    indices = torch.tensor([[0, 1, 1, 1], [0, 1, 2, 1]], dtype=torch.int32)
    voxels = spconv.SparseConvTensor(torch.randn(2, 2, requires_grad=True), indices, [4, 4, 4], 1)
    for module in model:
        voxels = module(voxels)
    voxels.features.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert model[0].weight.grad.abs().sum() > 0


def test_model_without_parameters_is_left_alone():
    SparseAlgoHook().before_run(SimpleNamespace(model=nn.Identity(), logger=None))
