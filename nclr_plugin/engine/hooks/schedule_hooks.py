"""Schedule of the pose loss, and a check of the learning-rate schedule of a resumed training."""
from __future__ import annotations

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ..runner import unwrapped_model


@HOOKS.register_module()
class PoseLossScheduleHook(Hook):
    """Raise the weight of the pose loss from 0 to 1 during training.

    While the similarity is still flat, soft matches of all points are near the image centre: the
    pose loss is noise, and GradNorm takes weight from the matching losses for it (CrossI2P; without
    GradNorm there was no effect). The hook sets the model's ``pose_loss_scale``, a factor of the
    loss, as a function of the iteration:

    ``scale = clip((iteration / max_iters - begin) / (end - begin), 0, 1)``.

    Args:
        begin: Fraction of the training at which the scale begins to rise.
        end: Fraction at which it reaches 1; equal to ``begin``: a step.

    Raises:
        ValueError: Unless ``0 <= begin <= end <= 1``.
        AttributeError: At the start of training, if the model has no ``pose_loss_scale``.
    """

    def __init__(self, begin: float, end: float) -> None:
        if not 0 <= begin <= end <= 1:
            raise ValueError('PoseLossScheduleHook: expected 0 <= begin <= end <= 1, found '
                             f'begin={begin}, end={end}')
        self.begin = begin
        self.end = end

    def scale(self, progress: float) -> float:
        """Return the scale of the pose loss, 0 to 1.

        Args:
            progress: Fraction of the training that is done, 0 to 1.

        Example:
            >>> PoseLossScheduleHook(begin=0.2, end=0.6).scale(0.5)
            0.75
        """
        if progress < self.begin:
            return 0.
        if progress >= self.end:
            return 1.
        return (progress - self.begin) / (self.end - self.begin)

    def before_train(self, runner: Any) -> None:
        """Check the model."""
        model = unwrapped_model(runner)
        if not hasattr(model, 'pose_loss_scale'):
            raise AttributeError(f'PoseLossScheduleHook: {type(model).__name__} has no '
                                 'pose_loss_scale; take the hook out of the config')

    def before_train_iter(self,
                          runner: Any,
                          batch_idx: int,
                          data_batch: Any | None = None) -> None:
        """Set the scale of this iteration."""
        unwrapped_model(runner).pose_loss_scale = self.scale(runner.iter / runner.max_iters)


@HOOKS.register_module()
class ScheduleEndHook(Hook):
    """Warn if a resumed training continues after the end of its schedule.

    A checkpoint contains the learning-rate schedule. If training is resumed with a larger
    ``max_iters`` or ``max_epochs``, the rate stays at the end value of that schedule, perhaps zero.
    """

    def before_train(self, runner: Any) -> None:
        """Compare the end of the schedules with the end of the training."""
        if not runner._resume:
            return
        schedulers = list(_flat(runner.param_schedulers))
        shares = [scheduler.end / (runner.max_epochs if scheduler.by_epoch else runner.max_iters)
                  for scheduler in schedulers]
        if not shares or max(shares) >= 1:
            return
        last = schedulers[shares.index(max(shares))]
        unit, end = ('epoch', runner.max_epochs) if last.by_epoch else ('iteration',
                                                                        runner.max_iters)
        rate = last.optimizer.param_groups[0]['lr']
        runner.logger.warning(
            f'The learning-rate schedule of the checkpoint ends at {unit} {last.end}, the training '
            f'at {unit} {end}: from there on the rate does not change (it is {rate:.3g} now). For '
            'a new schedule start from the weights alone: --cfg-options load_from=CHECKPOINT, '
            'without --resume, in another --work-dir.')


def _flat(schedulers: Any) -> Iterator[Any]:
    """Yield all schedulers of a runner, which keeps them by optimizer if there are several."""
    for each in schedulers.values() if isinstance(schedulers, dict) else [schedulers or []]:
        yield from each
