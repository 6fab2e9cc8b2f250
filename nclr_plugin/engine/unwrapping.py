"""The network of a runner."""
from __future__ import annotations

from typing import Any

from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from torch import nn


def unwrapped_model(runner: Any) -> nn.Module:
    """Return the model of a runner without its wrappers.

    These are the wrappers of distributed training, test-time augmentation (``Seg3DTTAModel``) and
    averaging of weights, one within the other, and that of ``torch.compile``.

    Args:
        runner: mmengine's.
    """
    model = runner.model
    while True:
        if is_model_wrapper(model) or isinstance(model, (BaseTTAModel, BaseAveragedModel)):
            model = model.module
        elif hasattr(model, '_orig_mod'):
            model = model._orig_mod
        else:
            return model
