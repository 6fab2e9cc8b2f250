import pytest
import torch

from benchmarks.syncs import UNKNOWN_SIZE, SyncCounter
from nclr_plugin.utils import devices

if torch.cuda.is_available():
    pytest.skip('a CPU counts by itself, a GPU by its debug mode', allow_module_level=True)

DEVICE = torch.device('cpu')


def found(step):
    """Kinds of the waits of a function, and how often."""
    with SyncCounter() as counter:
        step()
    assert all(sync.file == 'tests/test_tools/test_benchmark_syncs.py' for sync in counter.counts)
    assert all(sync.text.startswith('(lambda: ') for sync in counter.counts)
    return {sync.kind: times for sync, times in counter.counts.items()}


x, mask = torch.rand(4, 4), torch.rand(4, 4) > 0.5
TWO = torch.tensor([2, 1])


@pytest.mark.parametrize('step, kind', [
    (lambda: x.sum().item(), 'value read by the host'),
    (lambda: bool(mask.any()), 'value read by the host'),
    (lambda: x.tolist(), 'copy to the host'),
    (lambda: x.cpu(), 'copy to the host'),
    (lambda: x[mask], UNKNOWN_SIZE),
    (lambda: mask.nonzero(), UNKNOWN_SIZE),
    (lambda: torch.unique(x), UNKNOWN_SIZE),
    (lambda: torch.bincount(TWO), UNKNOWN_SIZE),
    (lambda: torch.repeat_interleave(TWO, TWO), UNKNOWN_SIZE),
    (lambda: x[:, [0, 2]], 'copy to the device'),
    (lambda: torch.tensor([1, 2], device=DEVICE), 'copy to the device'),
    (lambda: x.new_tensor([1., 2.]), 'copy to the device'),
    (lambda: x.to(DEVICE), 'copy to the device'),
    (lambda: torch.linalg.eigh(x), 'error flag of a factorisation'),
    (lambda: torch.inverse(x + torch.eye(4)), 'error flag of a factorisation'),
])
def test_what_a_host_would_wait_for_is_counted(step, kind):
    assert found(step) == {kind: 1}


@pytest.mark.parametrize('step', [
    lambda: torch.where(mask, x, 0.).sum() * 2,
    lambda: x.to(DEVICE, non_blocking=True),
    lambda: x.to(torch.float64),
    lambda: x[TWO],
    lambda: torch.repeat_interleave(TWO, 3),
    lambda: torch.repeat_interleave(TWO, TWO, output_size=3),
    lambda: torch.tensor([1, 2]),
    lambda: torch.linalg.cholesky_ex(x @ x.T)[0],
    lambda: devices.surely_all(mask),
    lambda: torch.nn.utils.clip_grad_norm_([torch.nn.Parameter(x)], 1.),
])
def test_what_runs_ahead_is_not(step):
    assert found(step) == {}


def test_a_backward_pass_is_counted_at_its_line():
    class Reading(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, grad):
            grad.sum().item()
            return grad

    with SyncCounter() as counter:
        Reading.apply(x.clone().requires_grad_()).sum().backward()
    (sync, times), = counter.counts.items()
    assert (sync.text, times) == ('grad.sum().item()', 1)


def test_nothing_is_counted_afterwards():
    with SyncCounter() as counter:
        pass
    x.tolist()
    assert not counter.counts and devices.on_host(x)
