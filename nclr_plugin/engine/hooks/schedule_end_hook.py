"""Check of the learning-rate schedule of a resumed training."""
from __future__ import annotations

from typing import Any, Iterator

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


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
