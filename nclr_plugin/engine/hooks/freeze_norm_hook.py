"""BatchNorm for the small batches of large scans."""
from __future__ import annotations

from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch.nn.modules.batchnorm import _BatchNorm


@HOOKS.register_module()
class FreezeNormHook(Hook):
    """Normalise by the stored statistics from some point of the training on.

    With one or two scans a step, the statistics of a batch are those of a scene, and a network
    learns to rely on that; tested with the stored ones it is another network. From ``begin`` on
    every BatchNorm uses, and no longer changes, its stored statistics, so that what is trained to
    the end is what is tested. Its scale and offset are still learned.

    Args:
        begin: Fraction of the training after which statistics are frozen; 1 for never.

    Raises:
        ValueError: Unless ``0 <= begin <= 1``.
    """

    def __init__(self, begin: float) -> None:
        if not 0 <= begin <= 1:
            raise ValueError(f'FreezeNormHook: expected 0 <= begin <= 1, found begin={begin}')
        self.begin = begin

    def before_train_iter(self,
                          runner: Any,
                          batch_idx: int,
                          data_batch: Optional[Any] = None) -> None:
        """Put BatchNorm layers in evaluation mode, which the loop undoes in each iteration."""
        if runner.iter >= self.begin * runner.max_iters:
            for module in runner.model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
