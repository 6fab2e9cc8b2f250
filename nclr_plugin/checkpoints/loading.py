"""Load and verify the pretrained weights of a backbone."""
from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Mapping

import torch
from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..errors import CheckpointMismatchError, PretrainedWeightsError
from .kernels import STEM, fit_to_shape, fold_biases, second_stem_layer, widen_input
from .names import LAYOUTS, find_prefix_and_layout, kernel_library, looks_like, rename
from .reading import clean_name, find_state_dict, is_counter
from .voxels import warn_of_other_voxels


@dataclass
class LoadReport:
    """Names of the tensors of a backbone and its checkpoint, by outcome.

    ``num_batches_tracked`` is loaded if the file has it, but not listed, since it is no weight.

    Attributes:
        checkpoint: Path of the file.
        prefix: Prefix of the backbone in the file.
        layout: Naming scheme of the file.
        matched: Tensors of the backbone that were loaded.
        missing: Tensors of the backbone that the file lacks.
        unexpected: Tensors of the file, with the prefix, that the backbone lacks.
        reshaped: Matched tensors whose kernel layout was converted.
        mismatched: Tensors of different width or kernel size, with both shapes.
        completed: Tensors whose missing values were set such that the network computes the same: a
            first kernel of fewer input channels, and the second convolution of the stem.
    """
    checkpoint: str
    prefix: str = ''
    layout: str = 'mmdet3d'
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    reshaped: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of tensors of the backbone."""
        return sum(map(len, (self.matched, self.completed, self.missing, self.mismatched)))

    @property
    def match_ratio(self) -> float:
        """Share of the backbone's tensors that were loaded or completed."""
        return (len(self.matched) + len(self.completed)) / max(self.total, 1)

    def summary(self, first: int = 3) -> str:
        """Return the counts and the first names of each kind."""
        lines = [f'{self.checkpoint}: {len(self.matched)} of {self.total} tensors match under the '
                 f"prefix '{self.prefix}', names of {self.layout}"]
        for kind in ('matched', 'reshaped', 'completed', 'missing', 'unexpected', 'mismatched'):
            names = getattr(self, kind)
            if names:
                more = ', ...' if len(names) > first else ''
                lines.append(f'  {kind} {len(names)}: ' + ', '.join(names[:first]) + more)
        return '\n'.join(lines)


def read_state_dict(checkpoint: str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint of any framework.

    Args:
        checkpoint: File or URL that mmengine's loader supports.

    Returns:
        CPU tensors by name, without prefixes such as the ``module.`` of a parallel model.

    Raises:
        FileNotFoundError: If the file is absent.
        BrokenCheckpointError: If torch cannot read the file.
        PretrainedWeightsError: If the file has no tensors, or the URL cannot be reached.
    """
    try:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    except (OSError, HTTPException, ImportError) as error:
        if '://' not in str(checkpoint):
            raise
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected to download it, found it unreachable "
            f'({reason}); fetch the file where there is a network and give its path, or None for '
            'random weights') from error
    tensors = OrderedDict((clean_name(name), tensor)
                          for name, tensor in find_state_dict(content).items()
                          if isinstance(name, str) and isinstance(tensor, Tensor))
    if not tensors:
        found = sorted(map(str, content))[:5] if isinstance(content, dict) and content else \
            f'an object of type {type(content).__name__}'
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected tensors by name, at the top or under an entry "
            f"such as 'state_dict', found {found}; give the file of a trained network, or load a "
            'pickled one with its own code and save its state_dict()')
    return tensors


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    prefix: str | None = None,
                    min_match: float = 1.0) -> LoadReport:
    """Load a backbone's weights and verify them.

    The file may come from an NCLR pretraining run, ``tools/export_backbone.py``, mmdet3d (with any
    of its sparse libraries), OpenPCDet, or the published code of NCLR, BEVContrast, ALSO or
    SegContrast. Prefix, naming scheme and kernel layout are detected automatically.

    Args:
        module: Backbone with the names of mmdet3d with spconv.
        checkpoint: File or URL that mmengine's loader supports.
        prefix: Prefix of the backbone in the file, e.g. ``'backbone'``; ``None``: detect it.
        min_match: Smallest share of the backbone's tensors that must be loaded; 1: all.

    Returns:
        Report, which is also logged.

    Raises:
        FileNotFoundError: If the file is absent.
        BrokenCheckpointError: If torch cannot read the file.
        PretrainedWeightsError: If fewer tensors match than ``min_match``, in which case nothing
            changes, or if the module has other values after loading.
    """
    source = read_state_dict(checkpoint)
    model_state = module.state_dict()
    if prefix:
        prefix = prefix.rstrip('.') + '.'
    prefix, layout, _ = find_prefix_and_layout(source, model_state.__contains__, prefix)
    report = LoadReport(str(checkpoint), prefix, layout)
    state = {name[len(prefix):]: tensor for name, tensor in source.items()
             if name.startswith(prefix)}
    library = kernel_library(state)
    state = {rename(name, LAYOUTS[layout]): tensor for name, tensor in state.items()}
    fold_biases(state)
    completed = {name: tensor for name, tensor in second_stem_layer(state).items()
                 if name in model_state}
    state.update(completed)
    weights = _match(state, model_state, library, report)
    report.completed += [name for name in report.matched if name in completed]
    report.matched = [name for name in report.matched if name not in completed]
    if not report.matched or report.match_ratio < min_match:
        raise PretrainedWeightsError(_explain(module, source, report, min_match))

    # Without the version, mmdet3d would permute kernels as if they were of spconv 1.
    weights._metadata = model_state._metadata
    module.load_state_dict(weights, strict=False)
    _verify(module, weights, report)
    print_log('Pretrained weights: ' + report.summary(), 'current')
    return report


def _match(state: dict[str, Tensor], model_state: dict[str, Tensor], library: str,
           report: LoadReport) -> 'OrderedDict[str, Tensor]':
    """Return the tensors that fit the model, and report the others."""
    weights = OrderedDict()
    report.unexpected = [name for name in state
                         if name not in model_state and not is_counter(name)]
    for name, target in model_state.items():
        if is_counter(name):
            weights.update({name: state[name]} if name in state else {})
            continue
        if name not in state:
            report.missing.append(name)
            continue
        tensor = fit_to_shape(state[name], target.shape, library)
        if tensor is None and name == STEM:
            tensor, words = widen_input(state[name], target.shape, library)
            if tensor is not None:
                weights[name] = tensor
                report.completed.append(words)
                continue
        if tensor is None:
            report.mismatched.append(f'{name} {tuple(state[name].shape)} in the file, '
                                     f'{tuple(target.shape)} in the model')
            continue
        weights[name] = tensor
        report.matched.append(name)
        if tensor is not state[name]:
            report.reshaped.append(name)
    return weights


def _explain(module: nn.Module, source: dict[str, Tensor], report: LoadReport,
             min_match: float) -> str:
    if report.mismatched and (not report.missing or len(report.mismatched) > len(report.matched)):
        advice = ("build the model with the checkpoint's widths and numbers of blocks, or take "
                  'another checkpoint')
    elif report.matched:
        advice = 'take a checkpoint of this network, or lower min_match to leave the rest random'
    elif looks_like(source) == looks_like(module.state_dict()):
        advice = ('give the right prefix, or, if the backbone is a part of the model, its name: '
                  "submodule='middle_encoder' of NCLRPretrained")
    else:
        advice = 'take a checkpoint of this network, or give the right prefix'
    return (f'{report.summary()}\nexpected at least {min_match:.0%} of the tensors of '
            f'{type(module).__name__}, which looks like {looks_like(module.state_dict())}; the '
            f'checkpoint looks like {looks_like(source)}, its first names are '
            f'{list(source)[:3]}; {advice}')


def _verify(module: nn.Module, weights: dict[str, Tensor], report: LoadReport) -> None:
    state = module.state_dict()
    wrong = [name for name, tensor in weights.items()
             if not torch.equal(state[name].cpu(), tensor.to(state[name].dtype))]
    if wrong:
        raise PretrainedWeightsError(
            f'{report.checkpoint}: {len(wrong)} of {len(weights)} tensors of '
            f'{type(module).__name__} do not have the values of the file after loading: '
            f'{wrong[:3]}; its load_state_dict changes them')


def check_state_dict(model: nn.Module, state_dict: Mapping[str, Any],
                     min_match: float = 1., prefix: str = '') -> float:
    """Check that a state dict belongs to a model.

    Args:
        model: Model.
        state_dict: Tensors by name; a leading ``module.`` is ignored, as in mmengine.
        min_match: Smallest share of the model's tensors that must match, 0 to 1.
        prefix: Prefix of the required tensors.

    Returns:
        Share of the required tensors that match.

    Raises:
        CheckpointMismatchError: If the share is too small.
    """
    model_state = model.state_dict()
    required = {name: value for name, value in model_state.items()
                if name.startswith(prefix) and not is_counter(name)}
    state = {re.sub(r'^module\.', '', name): value for name, value in state_dict.items()
             if isinstance(value, Tensor)}
    missing = [name for name in required if name not in state]
    resized = [f'{name} {tuple(state[name].shape)} for {tuple(value.shape)}'
               for name, value in required.items()
               if name in state and _sorted_shape(state[name]) != _sorted_shape(value)]
    if not hasattr(state_dict, '_metadata'):
        resized += [f'{name} without _metadata, which would tell its axis order'
                    for name, value in required.items() if name in state
                    and state[name].shape == value.shape and _is_sparse_kernel(model, name)]
    unexpected = [name for name in state if name not in model_state and not is_counter(name)]
    matched = len(required) - len(missing) - len(resized)
    share = matched / max(len(required), 1)
    if share < min_match:
        raise CheckpointMismatchError(
            f'The checkpoint holds {matched} of the {len(required)} tensors '
            f'{prefix and prefix + "* "}of {type(model).__name__}, at least {min_match:.0%} are '
            'expected: it is of another model or config (CheckpointGuardHook(min_match=...) '
            'accepts a part of a model; for load_from, tools/export_backbone.py extracts a '
            'backbone). '
            + '; '.join(_first(*group) for group in (
                ('missing', missing), ('other size', resized), ('unexpected', unexpected))))
    return share


def _is_sparse_kernel(model: nn.Module, name: str) -> bool:
    """Return whether the module permutes this tensor if it is loaded without a version."""
    module, _, leaf = name.rpartition('.')
    return leaf == 'weight' and 'spconv' in type(model.get_submodule(module)).__module__ and \
        model.get_submodule(module).weight.ndim == 5


def _sorted_shape(tensor: Tensor) -> tuple[int, ...]:
    """Return the sorted shape: sparse-convolution kernels are permuted on loading."""
    return tuple(sorted(tensor.shape))


def _first(title: str, names: list[str], shown: int = 5) -> str:
    rest = ', ...' if len(names) > shown else ''
    return f"{title} {len(names)}{': ' if names else ''}{', '.join(names[:shown])}{rest}"


@WEIGHT_INITIALIZERS.register_module()
class NCLRPretrained:
    """Initialise a backbone of mmdet3d with pretrained weights, and verify them.

    Use it as ``init_cfg=dict(type='NCLRPretrained', ...)``. Unlike mmengine's ``Pretrained`` it
    loads the kernels of sparse convolutions under any prefix, detects names and layouts of other
    frameworks, and raises if tensors stay random.

    Args:
        checkpoint: File or URL; ``None`` or ``''``: training from scratch.
        prefix: Prefix of the backbone in the file; ``None``: detect it.
        min_match: Smallest share of the backbone's tensors that must be loaded.
        submodule: Name of the submodule that is loaded, for backbones without ``init_cfg``:
            ``'middle_encoder'`` for mmdet3d's voxel detectors.

    Raises:
        PretrainedWeightsError: See :func:`load_pretrained`.
        AttributeError: If the module has no such submodule.
    """

    def __init__(self,
                 checkpoint: str | None = None,
                 prefix: str | None = None,
                 min_match: float = 1.0,
                 submodule: str | None = None) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.min_match = min_match
        self.submodule = submodule

    def __call__(self, module: nn.Module) -> None:
        """Load the weights into a module."""
        name = type(module).__name__ + f'.{self.submodule}' * bool(self.submodule)
        if not self.checkpoint:
            print_log(f'{name}: no checkpoint given, training starts from scratch.', 'current')
            return
        target = module.get_submodule(self.submodule) if self.submodule else module
        # mmengine initialises children later, unless the type is 'Pretrained', and would overwrite
        # the loaded weights. Therefore they are initialised first.
        for child in [target] if self.submodule else target.children():
            if hasattr(child, 'init_weights') and not getattr(child, 'is_init', False):
                child.init_weights()
        load_pretrained(target, self.checkpoint, self.prefix, self.min_match)
        warn_of_other_voxels(module, self.checkpoint)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'NCLRPretrained: load from {self.checkpoint}')
