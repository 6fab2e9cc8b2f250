"""Extensions of mmengine's Runner: training loop, mixed precision on the CPU, model access."""
from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import torch
from mmengine.dist import get_world_size
from mmengine.model import BaseAveragedModel, BaseTTAModel, is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import LOOPS, OPTIM_WRAPPERS
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.amp import autocast
from torch import nn

IN_STEPS = 'begin', 'end', 'T_max', 'step_size'  # arguments of mmengine's schedulers
SEEN_KEY = 'seen_samples'  # entry of the message hub, which checkpoints contain


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop`` that resumes at the right sample without reading batches.

    To resume, mmengine's loop reads and discards all earlier batches. This loop sets the number of
    seen samples in the sampler, ``set_start(samples)``. Checkpoints contain the number, so that
    batch size and number of processes may change.

    Args:
        runner: Runner.
        dataloader: Data loader or its config; its sampler is infinite and has ``set_start``, like
            :class:`~nclr_plugin.datasets.SeededInfiniteSampler`.
        max_iters: Number of iterations of the whole training.
        num_samples: Number of samples, of all processes, that the schedule is made for. If
            ``max_iters`` steps see more or fewer, the log warns and gives the options for
            ``num_samples``. ``None``: no warning.
        kwargs: ``val_begin``, ``val_interval``, ``dynamic_intervals`` of mmengine's loop.

    Raises:
        TypeError: If the sampler has no ``set_start``.
    """

    def __init__(self, runner: Any, dataloader: Any, max_iters: int,
                 num_samples: int | None = None, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, max_iters, **kwargs)
        self.num_samples = num_samples
        sampler = self.dataloader.batch_sampler.sampler
        if not callable(getattr(sampler, 'set_start', None)):
            raise TypeError(f'{type(self).__name__}: the sampler of train_dataloader must have '
                            f'set_start(num_samples), {type(sampler).__name__} has not; use '
                            "sampler=dict(type='SeededInfiniteSampler')")

    def run(self) -> Any:
        """Train from the resumed iteration to ``max_iters``.

        Returns:
            Trained model.
        """
        self._check_num_samples()
        for stage in ('before_train', 'before_train_epoch'):
            self.runner.call_hook(stage)
        seen = self._skip_seen_samples() if self.iter > 0 else 0
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()  # validation leaves it in eval mode
            seen += self._step_size
            self.runner.message_hub.update_info(SEEN_KEY, seen)  # before the checkpoint is saved
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validation_is_due():
                self.runner.val_loop.run()
        for stage in ('after_train_epoch', 'after_train'):
            self.runner.call_hook(stage)
        return self.runner.model

    def _validation_is_due(self) -> bool:
        if self.runner.val_loop is None or self.iter < self.val_begin:
            return False
        return self.iter % self.val_interval == 0 or self.iter == self.max_iters

    @property
    def _step_size(self) -> int:
        """Number of samples of a step, of all processes."""
        return self.dataloader.batch_sampler.batch_size * get_world_size()

    def _check_num_samples(self) -> None:
        """Warn if the training sees more or fewer samples than its schedule is made for."""
        if self.num_samples is None:
            return
        num_seen = self.max_iters * self._step_size
        right = max(1, round(self.num_samples / self._step_size))
        if abs(self.max_iters - right) <= 0.01 * right:
            return
        self.runner.logger.warning(
            f'The schedule is made for {self.num_samples:,} samples; {self.max_iters:,} steps of '
            f'{self._step_size} (batch size {self.dataloader.batch_sampler.batch_size}, '
            f'{get_world_size()} process(es)) see {num_seen:,}, '
            f'{num_seen / self.num_samples:.1%} of them. To see all: --cfg-options '
            f'{" ".join(self._options_for(right))}; --auto-scale-lr '
            'makes the learning rate proportional to the samples of a step.')

    def _options_for(self, max_iters: int) -> list[str]:
        """Return the options that scale the schedule to a number of steps."""
        def scaled(steps: int) -> int:
            return max(1, round(steps * max_iters / self.max_iters))

        options = [f'train_cfg.max_iters={max_iters}',
                   f'train_cfg.val_interval={scaled(self.val_interval)}']
        schedulers = self.runner.cfg.get('param_scheduler') or []
        for index, scheduler in enumerate(schedulers if isinstance(schedulers, list) else []):
            options += [f'param_scheduler.{index}.{key}={scaled(scheduler[key])}'
                        for key in IN_STEPS if scheduler.get(key)]
        return options

    def _skip_seen_samples(self) -> int:
        # Checkpoints without the number have the present step size.
        seen = self.runner.message_hub.get_info(SEEN_KEY, self.iter * self._step_size)
        self.dataloader.batch_sampler.sampler.set_start(seen)
        # The workers of the present iterator have already fetched the first samples.
        self.dataloader_iterator = iter(self.dataloader)
        self.runner.logger.info(f'Resuming after {self.iter} iterations, {seen} samples.')
        return seen


@OPTIM_WRAPPERS.register_module()
class Bfloat16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, used by ``tools/train.py --amp`` on the CPU.

    bfloat16 has the exponent range of float32, so losses need no scaling. mmengine's
    ``AmpOptimWrapper`` needs a gradient scaler, and with it an accelerator.

    On a GPU ``--amp`` selects ``AmpOptimWrapper``: float16 with a scaler. Do not use this wrapper
    there. spconv does not support bfloat16: the backbones of this package would compute sparse
    convolutions in float32, which saves nothing, and those of mmdet3d in float16, where small
    gradients become zero without a scaler.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of ``model`` under bfloat16 autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def unwrapped_model(runner: Any) -> nn.Module:
    """Return the model of a runner without its wrappers.

    Wrappers are those of distributed training, test-time augmentation (``Seg3DTTAModel``),
    averaging of weights and ``torch.compile``, possibly nested.

    Args:
        runner: Runner of mmengine.
    """
    model = runner.model
    while True:
        if is_model_wrapper(model) or isinstance(model, (BaseTTAModel, BaseAveragedModel)):
            model = model.module
        elif hasattr(model, '_orig_mod'):
            model = model._orig_mod
        else:
            return model
