"""Mixed precision on the CPU, where mmengine's ``AmpOptimWrapper`` does not run."""
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
    """Mixed precision in bfloat16; what ``tools/train.py --amp`` takes on a CPU.

    bfloat16 has the exponents of float32, so losses need no scaling; mmengine's ``AmpOptimWrapper``
    is built around a gradient scaler and refuses to be built without an accelerator.

    On a GPU ``--amp`` is ``AmpOptimWrapper``: float16 with a scaler. spconv has no bfloat16: this
    project's backbones compute sparse convolutions in float32 under this wrapper, on the CPU as on
    a GPU, which saves nothing there; the host's own, as in the fine-tuning configs, would compute
    them in float16 on a GPU, and without the scaler small gradients would become zero.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of ``model`` under bfloat16 autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield
