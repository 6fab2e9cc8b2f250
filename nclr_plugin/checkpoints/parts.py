"""Detection of the tensors of a backbone, without a model."""
from __future__ import annotations

import re
from typing import Dict, Iterable, List, Optional

from torch import Tensor

_NORM = ('weight', 'bias', 'running_mean', 'running_var')
_TENSOR = r'\w+$'
_MINKUNET = re.compile(
    r'(conv_input\.\d\.[01]|(encoder|decoder)\.\d\.0\.[01]'
    r'|(encoder\.\d|decoder\.\d\.1)\.\d+\.((conv|bn)\d|downsample\.[01])'
    r'|point_transforms\.\d\.[01])\.' + _TENSOR)
_SPARSE_ENCODER = re.compile(
    r'((conv_input|conv_out)\.[01]|encoder_layers\.encoder_layer\d\.\d+\.([01]|(conv|bn)\d))\.'
    + _TENSOR)
_BEV = re.compile(r'(?:^|\.)((?:de)?blocks\.\d\.\d+\.(?:'
                  + '|'.join((*_NORM, 'num_batches_tracked')) + '))$')


def is_point_backbone(name: str) -> bool:
    """Whether a name in mmdet3d's terms belongs to a sparse U-Net or a SparseEncoder."""
    return bool(_MINKUNET.match(name) or _SPARSE_ENCODER.match(name))


def bev_name(name: str) -> Optional[str]:
    """Name of a tensor within SECOND's two-dimensional network: ``blocks.*`` or ``deblocks.*``.

    ``None`` if it belongs to another.
    """
    match = _BEV.search(name)
    return match and match[1]


def is_sparse_encoder(names: Iterable[str]) -> bool:
    """Whether names in mmdet3d's terms are those of a SparseEncoder."""
    return any(name.startswith('encoder_layers.') for name in names)


def blocks_per_stage(names: Iterable[str]) -> List[int]:
    """Count the blocks, residual or single convolutions, in each stage of a SparseEncoder."""
    names = list(names)
    stages = _count(names, r'encoder_layers\.encoder_layer(\d)')
    return [_count(names, rf'encoder_layers\.encoder_layer{stage}\.(\d+)', start=0)
            for stage in range(1, stages + 1)]


def names_of_complete(tensors: Dict[str, Tensor]) -> List[str]:
    """List what a whole point backbone of this depth has at least, to find what is missing.

    Args:
        tensors: With names in mmdet3d's terms, which tell the number of stages and of blocks in
            each, and kernels in spconv 2's layout, whose widths tell which blocks need a shortcut.

    Returns:
        Kernels and norms of every layer, and an SPVCNN's point branch if there is any of it.
    """
    names = list(tensors)
    if is_sparse_encoder(names):
        layers = ['conv_input.{}', 'conv_out.{}']
        for stage, blocks in enumerate(blocks_per_stage(names), 1):
            head = f'encoder_layers.encoder_layer{stage}'
            for block in range(blocks):
                residual = any(name.startswith(f'{head}.{block}.conv1.') for name in names)
                layers += _residual(f'{head}.{block}', 2) if residual else [f'{head}.{block}.{{}}']
    else:
        depth = 3 if any('.conv3.' in name for name in names) else 2
        layers = ['conv_input.0.{}', 'conv_input.1.{}']
        for stage in range(_count(names, r'encoder\.(\d)', start=0)):
            for head, first in ((f'encoder.{stage}', 1), (f'decoder.{stage}.1', 0)):
                blocks = max(_count(names, rf'{re.escape(head)}\.(\d+)', start=0), first + 1)
                for block in range(first, blocks):
                    layers += _residual(f'{head}.{block}', depth)
                    if _changes_width(tensors, f'{head}.{block}', depth):
                        layers.append(f'{head}.{block}.downsample.{{}}')
            layers += [f'encoder.{stage}.0.{{}}', f'decoder.{stage}.0.{{}}']
    points = range(3) if any(name.startswith('point_transforms.') for name in names) else ()
    layers += [f'point_transforms.{i}.{{}}' for i in points]
    return [name for layer in layers for name in _conv_and_norm(layer)] + [
        f'point_transforms.{i}.0.bias' for i in points]


def _changes_width(tensors: Dict[str, Tensor], block: str, depth: int) -> bool:
    first, last = (tensors.get(f'{block}.conv{i}.weight') for i in (1, depth))
    return first is not None and last is not None and first.shape[-1] != last.shape[0]


def _count(names: List[str], pattern: str, start: int = 1) -> int:
    indices = [int(match[1]) for match in (re.match(pattern + r'\.', n) for n in names) if match]
    return max(indices, default=start - 1) + 1 - start


def _residual(head: str, depth: int) -> List[str]:
    return [f'{head}.:{i + 1}' for i in range(depth)]


def _conv_and_norm(layer: str) -> List[str]:
    conv, norm = ((layer.replace(':', 'conv'), layer.replace(':', 'bn')) if ':' in layer else
                  (layer.format(0), layer.format(1)))
    return [f'{conv}.weight'] + [f'{norm}.{tensor}' for tensor in _NORM]
