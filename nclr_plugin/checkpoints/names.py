"""Names of tensors: detection of networks, and translation to mmdet3d's names."""
from __future__ import annotations

import re
from typing import Callable, Iterable, Match, Tuple, Union

from torch import Tensor

from .kernels import MINKOWSKI, TORCHSPARSE

Rule = Tuple[str, Union[str, Callable[[Match], str]]]


def rename(name: str, rules: Iterable[Rule]) -> str:
    """Apply regular expressions and their replacements one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _count_from_zero(stage: str) -> Callable[[Match], str]:
    return lambda match: f'{stage}.{int(match[1]) - 1}.'


def _name_in_block(match: Match) -> str:
    """Return the name in mmdet3d's block for the index of a layer (conv, norm, ReLU)."""
    index = int(match[2])
    return f"{match[1]}.{('conv', 'bn')[index % 3]}{index // 3 + 1}."


# mmdet3d's own names: NCLR runs, exported files, segmentors and detectors of mmdet3d.
MMDET3D: list[Rule] = []

# MinkUNet and SPVCNN of the SPVNAS code and its descendants (NCLR, BEVContrast and ALSO with
# TorchSparse, SegContrast with MinkowskiEngine): stem, stage1..4, up1..4; and mmdet3d's
# MinkUNetBackbone and SPVCNNBackbone with these two libraries.
POINT_UNET: list[Rule] = [
    (r'^stem\.([01])\.', r'conv_input.0.net.\1.'),
    (r'^stem\.3\.', 'conv_input.1.net.0.'),
    (r'^stem\.4\.', 'conv_input.1.net.1.'),
    (r'^stage(\d)\.', _count_from_zero('encoder')),
    (r'^up(\d)\.', _count_from_zero('decoder')),
    (r'^(conv_input\.\d|(?:encoder|decoder)\.\d\.0)\.net\.', r'\1.'),
    (r'^(encoder\.\d\.\d+|decoder\.\d\.1\.\d+)\.net\.(\d)\.', _name_in_block),
    (r'\.downsample\.net\.', '.downsample.'),
    (r'\.norm(\d)\.', r'.bn\1.'),
    (r'\.bn\.(?=\w+$)', '.'),  # MinkowskiEngine wraps its BatchNorm
    (r'\.kernel$', '.weight'),
]

# OpenPCDet's VoxelBackBone8x; and its BaseBEVBackbone, where padding is a layer, unlike SECOND.
OPENPCDET: list[Rule] = [
    (r'^conv(\d)\.(?=\d\.[01]\.)', r'encoder_layers.encoder_layer\1.'),
    (r'^blocks\.(\d)\.(\d+)\.', lambda match: f'blocks.{match[1]}.{int(match[2]) - 1}.'),
]
TO_OPENPCDET: list[Rule] = [
    (r'^encoder_layers\.encoder_layer(\d)\.', r'conv\1.'),
    (r'^blocks\.(\d)\.(\d+)\.', lambda match: f'blocks.{match[1]}.{int(match[2]) + 1}.'),
]

# OpenPCDet's VoxelResBackBone8x: a stage begins with the last convolution of mmdet3d's stage
# before.
OPENPCDET_RESIDUAL: list[Rule] = [
    (r'^conv1\.(?=[01]\.(conv|bn))', 'encoder_layers.encoder_layer1.'),
    (r'^conv([2-4])\.0\.(?=[01]\.)',
     lambda match: f'encoder_layers.encoder_layer{int(match[1]) - 1}.2.'),
    (r'^conv([2-4])\.([12])\.(?=conv|bn)',
     lambda match: f'encoder_layers.encoder_layer{match[1]}.{int(match[2]) - 1}.'),
]
TO_OPENPCDET_RESIDUAL: list[Rule] = [
    (r'^encoder_layers\.encoder_layer1\.(?=[01]\.)', 'conv1.'),
    (r'^encoder_layers\.encoder_layer(\d)\.2\.', lambda match: f'conv{int(match[1]) + 1}.0.'),
    (r'^encoder_layers\.encoder_layer(\d)\.([01])\.',
     lambda match: f'conv{match[1]}.{int(match[2]) + 1}.'),
]

LAYOUTS: dict[str, list[Rule]] = {
    'mmdet3d': MMDET3D,
    'MinkUNet/SPVCNN of SPVNAS, NCLR, BEVContrast, ALSO, SegContrast': POINT_UNET,
    'OpenPCDet': OPENPCDET,
    'OpenPCDet, residual': OPENPCDET_RESIDUAL,
}

_LOOKS: list[tuple[str, str]] = [
    (r'(^|\.)encoder_layers\.encoder_layer\d\.', 'a SparseEncoder (mmdet3d detector)'),
    (r'(^|\.)conv2\.0\.0\.weight$', 'a Voxel(Res)BackBone8x (OpenPCDet detector)'),
    (r'(^|\.)point_transforms\.0\.', 'an SPVCNN'),
    (r'(^|\.)(stem\.0\.kernel|conv_input\.0\.(net\.)?0\.(kernel|weight))$', 'a MinkUNet'),
    (r'(^|\.)blocks\.0\.\d\.weight$', 'a bird\'s-eye-view backbone (SECOND)'),
    (r'(^|\.)layer1\.0\.conv1\.', 'an image ResNet'),
]


def looks_like(names: Iterable[str]) -> str:
    """Describe the networks that tensor names belong to."""
    names = list(names)
    networks = [words for pattern, words in _LOOKS if any(re.search(pattern, n) for n in names)]
    if 'an SPVCNN' in networks and 'a MinkUNet' in networks:
        networks.remove('a MinkUNet')
    return ' and '.join(networks) or 'no known network'


def find_prefix_and_layout(names: Iterable[str], is_known: Callable[[str], bool],
                           prefix: str | None = None) -> tuple[str, str, int]:
    """Find the prefix of a network in a checkpoint, and its naming scheme.

    Each pair of a prefix and a naming scheme gets a vote for every tensor whose translated name,
    without the prefix, belongs to the network.

    Args:
        names: Tensor names of the checkpoint.
        is_known: Returns whether a name of mmdet3d, without prefix, belongs to the network.
        prefix: Only this prefix; ``None``: any.

    Returns:
        Prefix (empty or ending with a dot), key of :data:`LAYOUTS`, number of votes. Of pairs with
        equal votes, e.g. a network and its moving average, the shortest prefix wins.
    """
    votes: dict[tuple[str, str], int] = {}
    for name in names:
        cuts = [0] + [m.end() for m in re.finditer(r'\.', name)] if prefix is None else \
            [len(prefix)] * name.startswith(prefix)
        for cut in cuts[:5]:
            for layout, rules in LAYOUTS.items():
                if is_known(rename(name[cut:], rules)):
                    votes[name[:cut], layout] = votes.get((name[:cut], layout), 0) + 1
    if not votes:
        return prefix or '', 'mmdet3d', 0
    order = list(LAYOUTS)
    best = max(votes, key=lambda k: (votes[k], -len(k[0]), -order.index(k[1])))
    return best[0], best[1], votes[best]


def kernel_library(names: Iterable[str]) -> str:
    """Distinguish TorchSparse from MinkowskiEngine, which wraps its BatchNorm in a module."""
    return MINKOWSKI if any(name.endswith('.bn.running_mean') for name in names) else TORCHSPARSE


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
    """Return whether a name of mmdet3d belongs to a sparse U-Net or a SparseEncoder."""
    return bool(_MINKUNET.match(name) or _SPARSE_ENCODER.match(name))


def bev_name(name: str) -> str | None:
    """Return the name within SECOND's 2D network, ``blocks.*`` or ``deblocks.*``, or ``None``.
    """
    match = _BEV.search(name)
    return match and match[1]


def is_sparse_encoder(names: Iterable[str]) -> bool:
    """Return whether names of mmdet3d are those of a SparseEncoder."""
    return any(name.startswith('encoder_layers.') for name in names)


def blocks_per_stage(names: Iterable[str]) -> list[int]:
    """Count the blocks (residual blocks or convolutions) of each stage of a SparseEncoder."""
    names = list(names)
    stages = _count(names, r'encoder_layers\.encoder_layer(\d)')
    return [_count(names, rf'encoder_layers\.encoder_layer{stage}\.(\d+)', start=0)
            for stage in range(1, stages + 1)]


def names_of_complete(tensors: dict[str, Tensor]) -> list[str]:
    """List the tensors of a complete point backbone, to find missing ones.

    Args:
        tensors: Tensors by mmdet3d's names, which give the numbers of stages and blocks, with
            kernels in spconv 2's layout, whose widths show which blocks need a shortcut.

    Returns:
        Names of the kernels and norms of every layer, and of the point branch of an SPVCNN.
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


def _changes_width(tensors: dict[str, Tensor], block: str, depth: int) -> bool:
    first, last = (tensors.get(f'{block}.conv{i}.weight') for i in (1, depth))
    return first is not None and last is not None and first.shape[-1] != last.shape[0]


def _count(names: list[str], pattern: str, start: int = 1) -> int:
    indices = [int(match[1]) for match in (re.match(pattern + r'\.', n) for n in names) if match]
    return max(indices, default=start - 1) + 1 - start


def _residual(head: str, depth: int) -> list[str]:
    return [f'{head}.:{i + 1}' for i in range(depth)]


def _conv_and_norm(layer: str) -> list[str]:
    conv, norm = ((layer.replace(':', 'conv'), layer.replace(':', 'bn')) if ':' in layer else
                  (layer.format(0), layer.format(1)))
    return [f'{conv}.weight'] + [f'{norm}.{tensor}' for tensor in _NORM]
