"""Skip training steps with non-finite gradients."""
from __future__ import annotations

import math
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from torch.optim import Optimizer

from ..runner import unwrapped_model

INFO_KEY = 'non_finite_steps'


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Skip optimizer steps with non-finite gradients, and report their frames.

    Gradients are checked just before the optimizer uses them: after accumulation, clipping and
    averaging over processes, so that all processes decide alike. A skipped step changes neither
    weights nor optimizer state, and buffers such as BatchNorm statistics are restored. Non-finite
    losses with finite gradients are reported, too. A gradient scaler skips overflowing steps
    itself; with one, a step counts only if a loss was not finite.

    Skipped steps are listed after training. Checkpoints contain the list.

    Args:
        max_skipped: Largest number of skipped steps; one more raises, with the last good weights.

    Raises:
        FloatingPointError: If too many steps were skipped; the message names frames and losses.
    """

    # Run before hooks that use weights or write logs and checkpoints.
    priority = 'ABOVE_NORMAL'

    def __init__(self, max_skipped: int = 20) -> None:
        if max_skipped < 0:
            raise ValueError(f'max_skipped: expected a number >= 0, found {max_skipped}')
        self.max_skipped = max_skipped

    def before_train(self, runner: Any) -> None:
        """Register the check of the gradients at the optimizer."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper):
            raise TypeError('NonFiniteHook works with one optimizer, found '
                            f'{type(wrapper).__name__}; take the hook out of the config')
        self.steps: list[dict[str, Any]] = runner.message_hub.get_info(INFO_KEY, [])
        runner.message_hub.update_info(INFO_KEY, self.steps)
        self._batches: list[dict[str, Any]] = []  # batches whose gradients enter the next step
        self._stepped = False
        self._buffers: list[torch.Tensor] = []
        self._handle = wrapper.optimizer.register_step_pre_hook(self._refuse_non_finite)

    def before_train_iter(self,
                          runner: Any,
                          batch_idx: int,
                          data_batch: Any | None = None) -> None:
        """Save the buffers before the first batch of a step."""
        if not self._batches:
            buffers = list(unwrapped_model(runner).buffers())
            if [buffer.device for buffer in buffers] != [saved.device for saved in self._buffers]:
                self._buffers = [torch.empty_like(buffer) for buffer in buffers]
            with torch.no_grad():
                for saved, buffer in zip(self._buffers, buffers):
                    saved.copy_(buffer)

    def after_train_iter(self,
                         runner: Any,
                         batch_idx: int,
                         data_batch: Any = None,
                         outputs: dict[str, Any] | None = None) -> None:
        """Record the step, if this iteration made one."""
        self._batches.append(
            dict(frames=[str(sample.get('frame_id')) for sample in data_batch['data_samples']],
                 losses=[name for name, value in (outputs or {}).items() if not _finite(value)]))
        if not runner.optim_wrapper.should_update():
            return  # gradients are being accumulated
        batches, self._batches = self._batches, []
        stepped, self._stepped = self._stepped, False
        if not stepped:
            self._skip(runner, batches)
        elif any(batch['losses'] for batch in batches):
            runner.logger.warning('Step taken, its gradients were finite: '
                                  f'{_describe(_step_of(runner, batches))}.')

    def after_train(self, runner: Any) -> None:
        """List the skipped steps."""
        self._handle.remove()
        if not self.steps:
            runner.logger.info('No step was skipped because of non-finite values.')
            return
        lines = ''.join(f'\n  {_describe(step)}' for step in self.steps)
        runner.logger.warning(f'{len(self.steps)} steps were skipped for values that are not '
                              f'finite:{lines}')

    def _refuse_non_finite(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Drop non-finite gradients before a step; ``optimizer.step`` then changes nothing."""
        grads = [p.grad for group in optimizer.param_groups for p in group['params']
                 if p.grad is not None]
        # A sum is not finite if an entry is not, and reads memory only once, unlike isfinite. The
        # results of all sums are transferred at once.
        sums = [grad.sum(dtype=torch.promote_types(grad.dtype, torch.float32)) for grad in grads]
        self._stepped = not sums or _finite(torch.stack(sums))
        if not self._stepped:
            optimizer.zero_grad(set_to_none=True)

    def _skip(self, runner: Any, batches: list[dict[str, Any]]) -> None:
        # All processes skip the step, see the class.
        batches = [batch for of_process in all_gather_object(batches) for batch in of_process]
        step = _step_of(runner, batches)
        if hasattr(runner.optim_wrapper, 'loss_scaler') and not step['losses']:
            return  # the scaler adapts its scale
        for buffer, saved in zip(unwrapped_model(runner).buffers(), self._buffers):
            buffer.copy_(saved)
        self.steps.append(step)
        count = f'{len(self.steps)} skipped, budget {self.max_skipped}'
        if len(self.steps) > self.max_skipped:
            raise FloatingPointError(
                f'{_describe(step)} ({count}). Weights are the last good ones. Look at these '
                'frames, lower the learning rate, or raise max_skipped of NonFiniteHook.')
        runner.logger.warning(f'Step skipped, weights unchanged: {_describe(step)} ({count}).')


def _step_of(runner: Any, batches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return iteration, losses and frames of a step; all frames if every loss is finite."""
    suspects = [batch for batch in batches if batch['losses']] or batches
    return dict(iteration=runner.iter + 1,
                frames=[frame for batch in suspects for frame in batch['frames']],
                losses=sorted({name for batch in suspects for name in batch['losses']}))


def _describe(step: dict[str, Any]) -> str:
    what = ', '.join(step['losses']) or 'a gradient, but no loss,'
    return f"iteration {step['iteration']}: {what} not finite, frames {', '.join(step['frames'])}"


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return bool(torch.isfinite(torch.as_tensor(value)).all())
