"""Work that depends on the device: copies, constants, the algorithm of sparse convolutions."""
from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

_ON_CUDA = '_algo_on_cuda'


def to_device(value: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the host to a device without waiting for it."""
    if device.type == 'cuda' and value.device.type == 'cpu':
        value = value.pin_memory()
    return value.to(device, non_blocking=True)


@lru_cache(maxsize=256)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a constant tensor that is copied to a device once; do not change it in place."""
    return torch.tensor(values, dtype=dtype, device=device)


def on_host(tensor: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for a GPU."""
    return tensor.device.type == 'cpu'


def surely_all(mask: Tensor) -> bool:
    """Return whether all entries of a mask are known to be set, to skip needless work.

    On a GPU the result is ``False``: waiting for the answer would cost more than the work.
    """
    return on_host(mask) and bool(mask.all())


def follow_devices() -> None:
    """Let every spconv module that is built later adapt to the device of its input.

    spconv's default algorithm, implicit GEMM, exists for CUDA only, and modules choose it when they
    are built. After this call they choose before each forward pass, see
    :func:`set_sparse_algorithm`. spconv need not be installed.
    """
    register_module_module_registration_hook(_watch)


def set_sparse_algorithm(model: nn.Module, device: str | torch.device) -> int:
    """Set an algorithm that a device supports in every spconv module of a model.

    On CUDA this is the algorithm of its construction, on other devices ``ConvAlgo.Native``. Weights
    have the same layout for both, so the model may change its device.

    Args:
        model: Any module, wrapped or not.
        device: Device of the model.

    Returns:
        Number of changed modules.

    Example:
        >>> set_sparse_algorithm(nn.Linear(2, 2), 'cpu')
        0
    """
    on_cuda = torch.device(device).type == 'cuda'
    return sum(_choose(module, on_cuda) for module in model.modules() if _has_algorithm(module))


def _watch(parent: nn.Module, name: str, module: Any) -> None:
    """Register the pre-hook of a module that becomes part of another, once."""
    if module is not None and _has_algorithm(module) and \
            follow_input not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(follow_input)


def follow_input(module: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Choose the algorithm of a module by the device of its input, before a forward pass."""
    _choose(module, inputs[0].features.device.type == 'cuda')


def _has_algorithm(module: nn.Module) -> bool:
    # By name: spconv need not be installed, and importing it takes a second.
    return getattr(module, 'algo', None) is not None and \
        any(base.__module__.startswith('spconv.') for base in type(module).__mro__)


def _choose(module: nn.Module, on_cuda: bool) -> bool:
    """Return whether the algorithm was changed."""
    before = module.algo
    if on_cuda:
        module.algo = module.__dict__.pop(_ON_CUDA, before)
    elif before != type(before).Native:
        module.__dict__[_ON_CUDA] = before
        module.algo = type(before).Native
    return module.algo != before
