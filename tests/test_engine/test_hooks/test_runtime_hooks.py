"""Seeds of iterations."""
from types import SimpleNamespace

import torch

from nclr_plugin.engine import IterationSeedHook


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
