"""Schedule of the pose loss."""
from __future__ import annotations

from typing import Any

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
