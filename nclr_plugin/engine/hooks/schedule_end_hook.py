"""Learning-rate schedules that end before the training does."""
from __future__ import annotations

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class ScheduleEndHook(Hook):
    """Warn when a resumed training goes on after the end of its schedule.

    A checkpoint brings the schedule of its own training. If that is resumed with a larger
    ``max_iters`` or ``max_epochs``, the learning rate stays where the old schedule ended, which
    may be zero.
    """

    def before_train(self, runner: Any) -> None:
        """Compare the ends of the schedules with that of the training."""
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
    """All schedulers of a runner, which keeps them by optimizer where it has several."""
    for each in schedulers.values() if isinstance(schedulers, dict) else [schedulers or []]:
        yield from each
