"""The algorithm of sparse convolutions, by device."""
from __future__ import annotations

from typing import Any, Tuple, Union

import torch
from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook

_ON_CUDA = '_algo_on_cuda'


def follow_devices() -> None:
    """Let every spconv module that is built from now on follow the device of its input.

    spconv's default, implicit GEMM, exists for CUDA alone. Its modules choose an algorithm when
    they are built; with this they choose before each forward pass, as :func:`set_sparse_algorithm`
    does. It costs nothing elsewhere, and spconv need not be installed.
    """
    register_module_module_registration_hook(_watch)


def set_sparse_algorithm(model: nn.Module, device: Union[str, torch.device]) -> int:
    """Give every spconv module of a model an algorithm that a device can run.

    On CUDA that is the one that it was built with, on any other device ``ConvAlgo.Native``. The
    weights have one layout for both, so a model may change device and this may be called again.

    Args:
        model: Any module, wrapped or not.
        device: Where the model will run.

    Returns:
        How many modules were changed.

    Example:
        >>> set_sparse_algorithm(nn.Linear(2, 2), 'cpu')
        0
    """
    on_cuda = torch.device(device).type == 'cuda'
    return sum(_choose(module, on_cuda) for module in model.modules() if _has_algorithm(module))


def _watch(parent: nn.Module, name: str, module: Any) -> None:
    """Make a module that becomes part of another follow its input, once."""
    if module is not None and _has_algorithm(module) and \
            _follow not in module._forward_pre_hooks.values():
        module.register_forward_pre_hook(_follow)


def _follow(module: nn.Module, inputs: Tuple[Any, ...]) -> None:
    _choose(module, inputs[0].features.device.type == 'cuda')


def _has_algorithm(module: nn.Module) -> bool:
    # Asked by name: spconv need not be there, and importing it takes a second.
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
