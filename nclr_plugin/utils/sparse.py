"""The algorithm of sparse convolutions, by device."""
from __future__ import annotations

from typing import Union

import torch
from torch import nn


def set_sparse_algorithm(model: nn.Module, device: Union[str, torch.device]) -> int:
    """Give every spconv module of a model an algorithm that its device can run.

    spconv's default, implicit GEMM, exists for CUDA alone; on any other device its sparse modules
    get ``ConvAlgo.Native``. The weights have one layout for both, so a model may change device and
    this may be called again. On CUDA the modules are left as they were built.

    Args:
        model: Any module, wrapped or not.
        device: Where the model will run.

    Returns:
        How many modules were changed.

    Example:
        >>> set_sparse_algorithm(nn.Linear(2, 2), 'cpu')
        0
    """
    if torch.device(device).type == 'cuda':
        return 0
    try:
        from spconv.pytorch import ConvAlgo, SparseModule
    except ImportError:  # no spconv, hence no module of it in the model
        return 0
    changed = 0
    for module in model.modules():
        if isinstance(module, SparseModule) and getattr(module, 'algo', None) is not None:
            changed += module.algo != ConvAlgo.Native
            module.algo = ConvAlgo.Native
    return changed
