"""Which tensors make up a backbone, told without a model."""
from __future__ import annotations

import re
from typing import Iterable, List, Optional

_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')
_TENSOR = r'\w+$'
_MINKUNET = re.compile(
    r'(conv_input\.\d\.[01]|(encoder|decoder)\.\d\.0\.[01]'
    r'|(encoder\.\d|decoder\.\d\.1)\.\d+\.((conv|bn)\d|downsample\.[01])'
    r'|point_transforms\.\d\.[01])\.' + _TENSOR)
_SPARSE_ENCODER = re.compile(
    r'((conv_input|conv_out)\.[01]|encoder_layers\.encoder_layer\d\.\d+\.([01]|(conv|bn)\d))\.'
    + _TENSOR)
_BEV = re.compile(r'(?:^|\.)((?:de)?blocks\.\d\.\d+\.(?:' + '|'.join(_NORM) + '))$')


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


def names_of_complete(names: Iterable[str]) -> List[str]:
    """List what a whole point backbone of this depth has at least, to find what is missing.

    Args:
        names: Names in mmdet3d's terms; they tell the number of stages and of blocks in each.

    Returns:
        Kernels and norms of every layer; the shortcuts of residual blocks are not demanded.
    """
    names = list(names)
    if is_sparse_encoder(names):
        layers = ['conv_input.{}', 'conv_out.{}']
        for stage in range(1, _count(names, r'encoder_layers\.encoder_layer(\d)') + 1):
            head = f'encoder_layers.encoder_layer{stage}'
            for block in range(_count(names, rf'{re.escape(head)}\.(\d+)', start=0)):
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
            layers += [f'encoder.{stage}.0.{{}}', f'decoder.{stage}.0.{{}}']
    return [name for layer in layers for name in _conv_and_norm(layer)]


def _count(names: List[str], pattern: str, start: int = 1) -> int:
    indices = [int(match[1]) for match in (re.match(pattern + r'\.', n) for n in names) if match]
    return max(indices, default=start - 1) + 1 - start


def _residual(head: str, depth: int) -> List[str]:
    return [f'{head}.:{i + 1}' for i in range(depth)]


def _conv_and_norm(layer: str) -> List[str]:
    conv, norm = ((layer.replace(':', 'conv'), layer.replace(':', 'bn')) if ':' in layer else
                  (layer.format(0), layer.format(1)))
    return [f'{conv}.weight'] + [f'{norm}.{tensor}' for tensor in _NORM]
