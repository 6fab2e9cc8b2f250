"""Mixed precision where mmengine's ``AmpOptimWrapper`` does not run."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from torch import nn


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on CPU as on GPU.

    bfloat16 has the exponents of float32, so losses need no scaling; mmengine's ``AmpOptimWrapper``
    is built around a gradient scaler and refuses to be built without an accelerator.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of ``model`` under bfloat16 autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
