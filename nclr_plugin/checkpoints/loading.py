"""Pretrained weights of a backbone, loaded and verified."""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..errors import PretrainedWeightsError
from .kernels import STEM, fit_to_shape, fold_biases, second_stem_layer, widen_input
from .names import LAYOUTS, Rule, find_prefix_and_layout, kernel_library, looks_like, rename
from .reading import clean_name, find_state_dict, is_counter
from .voxels import warn_of_other_voxels


@dataclass
class LoadReport:
    """What became of every tensor of a backbone and of its checkpoint.

    The counters of norms, ``num_batches_tracked``, are no weights: they are loaded where the file
    has them and listed nowhere.

    Attributes:
        checkpoint: The file.
        prefix: Where the backbone lies in it.
        layout: Whose names it has.
        matched: Tensors of the backbone that got their values from the file.
        missing: Tensors of the backbone that the file does not have.
        unexpected: Tensors of the file, under the prefix, that the backbone does not have.
        reshaped: Matched tensors whose kernel layout was converted.
        mismatched: Names that both have, with the two shapes: another width or kernel size.
        completed: Tensors whose values, or some of them, the file lacks and that are set to change
            nothing: a first kernel of fewer input channels, and the second convolution of a stem
            which has one only.
    """
    checkpoint: str
    prefix: str = ''
    layout: str = 'mmdet3d'
    matched: List[str] = field(default_factory=list)
    missing: List[str] = field(default_factory=list)
    unexpected: List[str] = field(default_factory=list)
    reshaped: List[str] = field(default_factory=list)
    mismatched: List[str] = field(default_factory=list)
    completed: List[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Tensors of the backbone."""
        return sum(map(len, (self.matched, self.completed, self.missing, self.mismatched)))

    @property
    def match_ratio(self) -> float:
        """Share of the backbone's tensors that need no random values."""
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


def read_state_dict(checkpoint: str) -> Dict[str, Tensor]:
    """Read the tensors of a checkpoint, whichever framework wrote it.

    Args:
        checkpoint: A file or URL that mmengine's loader knows.

    Returns:
        Name -> tensor on the CPU, without the ``module.`` of a parallel model and its like.

    Raises:
        FileNotFoundError: No such file.
        BrokenCheckpointError: torch cannot read the file.
        PretrainedWeightsError: The file has no tensors in it, or its URL cannot be reached.
    """
    try:
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    except (OSError, HTTPException, ImportError) as error:
        if '://' not in str(checkpoint):
            raise
        reason = f'{type(error).__name__}: {error}'.splitlines()[0]
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected to download it, found that it cannot be reached "
            f'({reason}); fetch the file where there is a network and give its path, or None for '
            'random weights') from error
    tensors = OrderedDict((clean_name(name), tensor)
                          for name, tensor in find_state_dict(content).items()
                          if isinstance(name, str) and isinstance(tensor, Tensor))
    if not tensors:
        found = sorted(map(str, content))[:5] if isinstance(content, dict) and content else \
            f'an object of {type(content).__name__}'
        raise PretrainedWeightsError(
            f"checkpoint '{checkpoint}': expected tensors by name, at the top or under an entry "
            f"such as 'state_dict', found {found}; give the file of a trained network, or load a "
            'pickled one with its own code and save its state_dict()')
    return tensors


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    prefix: Optional[str] = None,
                    min_match: float = 1.0,
                    key_map: Optional[Sequence[Rule]] = None) -> LoadReport:
    """Load a backbone's weights and make sure that they arrived.

    The file may come from an NCLR pretraining run, ``tools/export_backbone.py``, mmdet3d (on any
    of its sparse libraries), OpenPCDet, or the published code of NCLR, BEVContrast, ALSO or
    SegContrast: the names and kernel layouts are recognised.

    Args:
        module: The backbone, its names those of mmdet3d on spconv.
        checkpoint: A file or URL that mmengine's loader knows.
        prefix: Where the backbone lies in the file, ``'backbone'`` say; ``None``: it is found.
        min_match: The least share of the backbone's tensors that must be loaded. 1: each.
        key_map: Regular expressions and their replacements that turn the file's names, after the
            prefix, into the module's. ``None``: the names are recognised.

    Returns:
        The names of each kind, which are logged too.

    Raises:
        FileNotFoundError: No such file.
        BrokenCheckpointError: torch cannot read the file.
        PretrainedWeightsError: Fewer tensors match than ``min_match``; nothing is changed then.
            Also if the module does not hold the weights after loading.
    """
    source = read_state_dict(checkpoint)
    own = module.state_dict()
    if prefix:
        prefix = prefix.rstrip('.') + '.'
    layout, rules = 'the key_map', key_map
    if key_map is None:
        prefix, layout, _ = find_prefix_and_layout(source, own.__contains__, prefix)
        rules = LAYOUTS[layout]
    report = LoadReport(str(checkpoint), prefix or '', layout)
    found = {name[len(report.prefix):]: tensor for name, tensor in source.items()
             if name.startswith(report.prefix)}
    library = kernel_library(found)
    found = {rename(name, rules): tensor for name, tensor in found.items()}
    fold_biases(found)
    completed = {name: tensor for name, tensor in second_stem_layer(found).items() if name in own}
    found.update(completed)
    weights = _match(found, own, library, report)
    report.completed += [name for name in report.matched if name in completed]
    report.matched = [name for name in report.matched if name not in completed]
    if not report.matched or report.match_ratio < min_match:
        raise PretrainedWeightsError(_explain(module, source, report, min_match))

    # The version tells mmdet3d's loader that kernels are in spconv 2's layout already; without it
    # they would be permuted.
    weights._metadata = own._metadata
    module.load_state_dict(weights, strict=False)
    _verify(module, weights, report)
    print_log('Pretrained weights: ' + report.summary(), 'current')
    return report


def _match(found: Dict[str, Tensor], own: Dict[str, Tensor], library: str,
           report: LoadReport) -> 'OrderedDict[str, Tensor]':
    weights = OrderedDict()
    report.unexpected = [name for name in found if name not in own and not is_counter(name)]
    for name, target in own.items():
        if is_counter(name):
            weights.update({name: found[name]} if name in found else {})
            continue
        if name not in found:
            report.missing.append(name)
            continue
        tensor = fit_to_shape(found[name], target.shape, library)
        if tensor is None and name == STEM:
            tensor, words = widen_input(found[name], target.shape, library)
            if tensor is not None:
                weights[name] = tensor
                report.completed.append(words)
                continue
        if tensor is None:
            report.mismatched.append(f'{name} {tuple(found[name].shape)} in the file, '
                                     f'{tuple(target.shape)} in the model')
            continue
        weights[name] = tensor
        report.matched.append(name)
        if tensor is not found[name]:
            report.reshaped.append(name)
    return weights


def _explain(module: nn.Module, source: Dict[str, Tensor], report: LoadReport,
             min_match: float) -> str:
    if report.mismatched and (not report.missing or len(report.mismatched) > len(report.matched)):
        advice = ("build the model with the checkpoint's widths and numbers of blocks, or take "
                  'another checkpoint')
    elif report.matched:
        advice = 'take a checkpoint of this network, or lower min_match to accept the rest random'
    elif looks_like(source) == looks_like(module.state_dict()):
        advice = ('give the right prefix, or, if the backbone is a part of the model, its name: '
                  "submodule='middle_encoder' of NCLRPretrained")
    else:
        advice = 'take a checkpoint of this network, or give the right prefix'
    return (f'{report.summary()}\nexpected at least {min_match:.0%} of the tensors of '
            f'{type(module).__name__}, which looks like {looks_like(module.state_dict())}; the '
            f'checkpoint looks like {looks_like(source)}, its first names are '
            f'{list(source)[:3]}; {advice}')


def _verify(module: nn.Module, weights: Dict[str, Tensor], report: LoadReport) -> None:
    arrived = module.state_dict()
    lost = [name for name, tensor in weights.items()
            if not torch.equal(arrived[name].cpu(), tensor.to(arrived[name].dtype))]
    if lost:
        raise PretrainedWeightsError(
            f'{report.checkpoint}: {len(lost)} of {len(weights)} tensors of '
            f'{type(module).__name__} do not have the values of the file after loading: '
            f'{lost[:3]}; its load_state_dict changes them')


@WEIGHT_INITIALIZERS.register_module()
class NCLRPretrained:
    """Initialise a host backbone with pretrained weights, verified.

    Unlike the host's ``Pretrained`` it loads the kernels of sparse convolutions whatever the
    prefix, recognises other frameworks' names and layouts, and raises when tensors stay random.

    Args:
        checkpoint: A file or URL; ``None`` or ``''``: training starts from scratch.
        prefix: Where the backbone lies in the file; ``None``: it is found.
        min_match: The least share of the backbone's tensors that must be loaded.
        submodule: Name of the part that gets the weights, for modules whose backbone takes no
            ``init_cfg``: ``'middle_encoder'`` for mmdet3d's voxel detectors.

    Raises:
        PretrainedWeightsError: See :func:`~nclr_plugin.checkpoints.load_pretrained`.
        AttributeError: The module has no such ``submodule``.
    """

    def __init__(self,
                 checkpoint: Optional[str] = None,
                 prefix: Optional[str] = None,
                 min_match: float = 1.0,
                 submodule: Optional[str] = None) -> None:
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
        # mmengine runs an initialiser before those of the children, but for its own 'Pretrained':
        # theirs come first here too, lest they overwrite what is loaded.
        for child in [target] if self.submodule else target.children():
            if hasattr(child, 'init_weights') and not getattr(child, 'is_init', False):
                child.init_weights()
        load_pretrained(target, self.checkpoint, self.prefix, self.min_match)
        warn_of_other_voxels(module, self.checkpoint)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=f'NCLRPretrained: load from {self.checkpoint}')
