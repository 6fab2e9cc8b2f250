"""Seed of each training iteration."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed torch, on every device, by (seed, iteration, rank) before each iteration.

    Dropout and sampling inside the model then do not depend on earlier iterations, so that a
    resumed training continues as if it had not been interrupted.

    Args:
        seed: Seed; default: that of the runner.
    """

    priority = 'VERY_HIGH'

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def before_train_iter(self,
                          runner: Any,
                          batch_idx: int,
                          data_batch: Any | None = None) -> None:
        """Seed the generators of this process."""
        seed = runner.seed if self.seed is None else self.seed
        sequence = np.random.SeedSequence((seed, runner.iter, get_rank()))
        torch.manual_seed(int(sequence.generate_state(1, np.uint32)[0]))
