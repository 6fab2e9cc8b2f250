"""Algorithm of sparse convolutions by device."""
from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...utils.devices import set_sparse_algorithm


@HOOKS.register_module()
class SparseAlgoHook(Hook):
    """Set the algorithm of spconv's modules by the device of the model.

    See :func:`~nclr_plugin.utils.devices.set_sparse_algorithm`.
    """

    def before_run(self, runner: Any) -> None:
        """Set the algorithm before the first forward pass."""
        parameter = next(runner.model.parameters(), None)
        if parameter is None:
            return
        changed = set_sparse_algorithm(runner.model, parameter.device)
        if changed:
            runner.logger.info(f'{changed} sparse modules use the native algorithm on '
                               f'{parameter.device.type}.')
