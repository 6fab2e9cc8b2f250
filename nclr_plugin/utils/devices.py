"""What depends on the device of a tensor."""
from __future__ import annotations

from torch import Tensor


def on_host(tensor: Tensor) -> bool:
    """Return whether the host can read a tensor without waiting for a GPU."""
    return tensor.device.type == 'cpu'


def surely_all(mask: Tensor) -> bool:
    """Return whether all entries of a mask are known to be set.

    Work that such a mask makes needless is skipped on a CPU. On a GPU it is done: that costs less
    than to wait for the answer.
    """
    return on_host(mask) and bool(mask.all())
