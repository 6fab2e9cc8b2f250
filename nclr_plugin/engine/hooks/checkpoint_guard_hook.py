"""Refuse checkpoints of other models."""
from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from ...checkpoints.loading import check_state_dict
from ...errors import CheckpointMismatchError
from ..runner import unwrapped_model


@HOOKS.register_module()
class CheckpointGuardHook(Hook):
    """Refuse a checkpoint of another model.

    mmengine loads checkpoints leniently: it ignores missing tensors and tensors of another shape,
    even if none matches. This hook raises if too few match.

    Args:
        min_match: Smallest share, 0 to 1, of the model's parameters and buffers that the checkpoint
            must have with the same name and shape. ``num_batches_tracked`` does not count.
        prefix: Prefix of the required tensors, e.g. ``'backbone.'`` if the rest may be new.

    Raises:
        CheckpointMismatchError: If too few tensors match; the message lists the first ones that are
            missing, of another shape, or unexpected.
    """

    def __init__(self, min_match: float = 1., prefix: str = '') -> None:
        if not 0 <= min_match <= 1:
            raise ValueError(f'min_match: expected a share, 0 to 1, found {min_match}')
        self.min_match = min_match
        self.prefix = prefix

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Compare before mmengine copies tensors."""
        if runner._resume and 'meta' not in checkpoint:
            raise CheckpointMismatchError(
                '--resume: expected a checkpoint of a training, with optimizer and iteration, '
                'found only weights; start from them: --cfg-options load_from=CHECKPOINT, without '
                '--resume')
        model = unwrapped_model(runner)
        check_state_dict(model, checkpoint.get('state_dict', checkpoint), self.min_match,
                         self.prefix)
