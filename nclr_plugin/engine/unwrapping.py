"""The network of a runner."""
from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped_model(runner: Any) -> nn.Module:
    """The model of a runner without the wrapper of distributed training.

    Args:
        runner: mmengine's.
    """
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
