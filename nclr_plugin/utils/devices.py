"""What depends on the device of a tensor."""
from __future__ import annotations

from functools import lru_cache
from typing import Tuple

import torch
from torch import Tensor


@lru_cache(None)
def constant(values: Tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return a tensor of numbers that is copied to a device once; nobody may change it."""
    return torch.tensor(values, dtype=dtype, device=device)


def on_host(tensor: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for a GPU."""
    return tensor.device.type == 'cpu'


def surely_all(mask: Tensor) -> bool:
    """Return whether all entries of a mask are known to be set.

    Work that such a mask makes needless is skipped on a CPU. On a GPU it is done: that costs less
    than to wait for the answer.
    """
    return on_host(mask) and bool(mask.all())
