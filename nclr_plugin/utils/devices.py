"""Functions that depend on the device of a tensor."""
from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


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
