"""A bounded number of the eligible columns of each row of a mask."""
from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

_GOLDEN = 0.6180339887498949


def sample_columns(eligible: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    """Uniform random sample without replacement, for training.

    Args:
        eligible: (V, L) bool.
        size: Columns wanted of each row.

    Returns:
        tuple: (V, K) columns, K = min(size, L), and (V, K) bool, False where a row has too few.
    """
    return _draw(eligible, torch.rand(eligible.shape, device=eligible.device), size)


def spread_columns(eligible: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    """The same, but always the same columns, spread over the row: for reproducible tests."""
    order = torch.arange(eligible.shape[1], device=eligible.device, dtype=torch.float64)
    return _draw(eligible, (order * _GOLDEN % 1).expand(eligible.shape), size)


def _draw(eligible: Tensor, lottery: Tensor, size: int) -> Tuple[Tensor, Tensor]:
    value, drawn = lottery.masked_fill(~eligible, -1).topk(min(size, eligible.shape[1]), 1)
    return drawn, value >= 0
