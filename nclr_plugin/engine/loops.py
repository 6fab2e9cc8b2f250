"""The training loop."""
from __future__ import annotations

from typing import Any

from mmengine.dist import get_world_size
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop


@LOOPS.register_module()
class ResumableIterLoop(IterBasedTrainLoop):
    """mmengine's ``IterBasedTrainLoop`` that resumes at the right sample at once.

    The host's loop reads all batches that were trained on before, to throw them away. This one
    tells the sampler how many samples were seen, ``set_start(iteration * batch_size * processes)``.

    Args:
        runner: The runner.
        dataloader: Data loader or its config; its sampler never ends and has ``set_start``, as
            :class:`~nclr_plugin.datasets.SeededInfiniteSampler`.
        max_iters: Iterations of the whole training.
        kwargs: ``val_begin``, ``val_interval``, ``dynamic_intervals`` of the host's loop.

    Raises:
        TypeError: When the sampler has no ``set_start``.
    """

    def __init__(self, runner: Any, dataloader: Any, max_iters: int, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, max_iters, **kwargs)
        sampler = self.dataloader.batch_sampler.sampler
        if not callable(getattr(sampler, 'set_start', None)):
            raise TypeError(f'{type(self).__name__}: the sampler of train_dataloader must have '
                            f'set_start(num_samples), {type(sampler).__name__} has not; use '
                            "sampler=dict(type='SeededInfiniteSampler')")

    def run(self) -> Any:
        """Train until ``max_iters``, from the iteration that was resumed.

        Returns:
            The trained model.
        """
        for stage in ('before_train', 'before_train_epoch'):
            self.runner.call_hook(stage)
        if self.iter > 0:
            self._skip_seen_samples()
        while self.iter < self.max_iters and not self.stop_training:
            self.runner.model.train()  # the validation left it in eval mode
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

    def _skip_seen_samples(self) -> None:
        batch_sampler = self.dataloader.batch_sampler
        seen = self.iter * batch_sampler.batch_size * get_world_size()
        batch_sampler.sampler.set_start(seen)
        # Workers of the iterator made at construction are already fetching the first samples.
        self.dataloader_iterator = iter(self.dataloader)
        self.runner.logger.info(f'Resuming after {self.iter} iterations, {seen} samples.')
