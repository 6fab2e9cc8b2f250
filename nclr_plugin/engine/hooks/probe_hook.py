"""Probe the representation during pretraining."""
from __future__ import annotations

import time
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...evaluation.probe import Probe
from ..runner import unwrapped_model


@HOOKS.register_module()
class ProbeHook(Hook):
    """Classify a few labelled scans by the frozen point features, before and during training.

    The results are sent to the log and the visual back ends as ``probe/NAME``. Training does not
    change.

    Args:
        interval: Number of steps between two probes.
        name: Name of the results after ``probe/``; default: the name of the data set.
        kwargs: Arguments of :class:`~nclr_plugin.evaluation.probe.Probe`.
    """

    def __init__(self, interval: int = 500, name: str | None = None, **kwargs: Any) -> None:
        self.interval = interval
        self.probe = Probe(**kwargs)
        self.name = name or self.probe.dataset

    def before_train(self, runner: Any) -> None:
        """Probe the initialisation, unless training is resumed."""
        if runner.iter == 0:
            self._run(runner, 0)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None,
                         outputs: Any = None) -> None:
        """Probe every ``interval`` steps."""
        if self.every_n_train_iters(runner, self.interval):
            self._run(runner, runner.iter + 1)

    def _run(self, runner: Any, step: int) -> None:
        if is_main_process():
            start = time.time()
            results = {f'probe/{self.name}_{name}': value
                       for name, value in self.probe(unwrapped_model(runner)).items()}
            runner.logger.info(f'Probe ({step} steps, {time.time() - start:.1f} s): ' + ', '.join(
                f'{name} {value:.2f}' for name, value in results.items()))
            runner.visualizer.add_scalars(results, step=step)
        broadcast_object_list([None])  # the others wait
