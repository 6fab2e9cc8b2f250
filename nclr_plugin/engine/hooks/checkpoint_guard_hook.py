"""Refuse checkpoints of other models."""
from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Tuple

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor, nn

from ...checkpoints.reading import is_counter
from ...errors import CheckpointMismatchError
from ..runner import unwrapped_model

SHOWN = 5


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

    def after_load_checkpoint(self, runner: Any, checkpoint: Dict[str, Any]) -> None:
        """Compare before mmengine copies tensors."""
        if runner._resume and 'meta' not in checkpoint:
            raise CheckpointMismatchError(
                '--resume: expected a checkpoint of a training, with optimizer and iteration, '
                'found only weights; start from them: --cfg-options load_from=CHECKPOINT, without '
                '--resume')
        model = unwrapped_model(runner)
        check_state_dict(model, checkpoint.get('state_dict', checkpoint), self.min_match,
                         self.prefix)


def check_state_dict(model: nn.Module, state_dict: Mapping[str, Any],
                     min_match: float = 1., prefix: str = '') -> float:
    """Check that a state dict is one of this model.

    Args:
        model: The model.
        state_dict: Tensors by name; a leading ``module.`` is ignored, as the host does.
        min_match: Least share of the model's tensors to be found, 0 to 1.
        prefix: Prefix of the tensors that are looked for.

    Returns:
        The share that was found.

    Raises:
        CheckpointMismatchError: See :class:`CheckpointGuardHook`.
    """
    own = model.state_dict()
    wanted = {name: value for name, value in own.items()
              if name.startswith(prefix) and not is_counter(name)}
    found = {re.sub(r'^module\.', '', name): value for name, value in state_dict.items()
             if isinstance(value, Tensor)}
    missing = [name for name in wanted if name not in found]
    resized = [f'{name} {tuple(found[name].shape)} for {tuple(value.shape)}'
               for name, value in wanted.items()
               if name in found and _sizes(found[name]) != _sizes(value)]
    if not hasattr(state_dict, '_metadata'):
        resized += [f'{name} without the _metadata that tell its order from older ones'
                    for name, value in wanted.items() if name in found
                    and found[name].shape == value.shape and _is_sparse_kernel(model, name)]
    unexpected = [name for name in found if name not in own and not is_counter(name)]
    matched = len(wanted) - len(missing) - len(resized)
    share = matched / max(len(wanted), 1)
    if share < min_match:
        raise CheckpointMismatchError(
            f'The checkpoint holds {matched} of the {len(wanted)} tensors '
            f'{prefix and prefix + "* "}of {type(model).__name__}, at least {min_match:.0%} are '
            'expected: it is of another model or config (CheckpointGuardHook(min_match=...) '
            'accepts a part of a model; for load_from, tools/export_backbone.py extracts a '
            'backbone). '
            + '; '.join(_first(*group) for group in (
                ('missing', missing), ('other size', resized), ('unexpected', unexpected))))
    return share


def _is_sparse_kernel(model: nn.Module, name: str) -> bool:
    """Whether the module permutes this tensor when it is loaded without a version."""
    module, _, leaf = name.rpartition('.')
    return leaf == 'weight' and 'spconv' in type(model.get_submodule(module)).__module__ and \
        model.get_submodule(module).weight.ndim == 5


def _sizes(tensor: Tensor) -> Tuple[int, ...]:
    """Shape without the order: sparse-convolution kernels are permuted on loading."""
    return tuple(sorted(tensor.shape))


def _first(title: str, names: List[str]) -> str:
    rest = ', ...' if len(names) > SHOWN else ''
    return f"{title} {len(names)}{': ' if names else ''}{', '.join(names[:SHOWN])}{rest}"
