"""Maps from the tensor names of other frameworks to mmdet3d's."""
from __future__ import annotations

import re
from typing import Callable, Dict, Iterable, List, Match, Optional, Tuple, Union

from .layouts import MINKOWSKI, TORCHSPARSE

Rule = Tuple[str, Union[str, Callable[[Match], str]]]


def rename(name: str, rules: Iterable[Rule]) -> str:
    """Apply regular expressions and their replacements one after the other."""
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _count_from_zero(stage: str) -> Callable[[Match], str]:
    return lambda match: f'{stage}.{int(match[1]) - 1}.'


def _name_in_block(match: Match) -> str:
    """Return the name in mmdet3d's block for a layer (conv, norm, ReLU) counted through."""
    index = int(match[2])
    return f"{match[1]}.{('conv', 'bn')[index % 3]}{index // 3 + 1}."


# mmdet3d's own names: NCLR runs, exported files, segmentors and detectors of the host.
MMDET3D: List[Rule] = []

# The MinkUNet and SPVCNN of the SPVNAS code and what descends from it (NCLR, BEVContrast and ALSO
# on TorchSparse, SegContrast on MinkowskiEngine): stem, stage1..4, up1..4; and mmdet3d's
# MinkUNetBackbone and SPVCNNBackbone on these two libraries.
POINT_UNET: List[Rule] = [
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

# OpenPCDet's VoxelBackBone8x, and its BaseBEVBackbone against SECOND: its padding is a layer.
OPENPCDET: List[Rule] = [
    (r'^conv(\d)\.(?=\d\.[01]\.)', r'encoder_layers.encoder_layer\1.'),
    (r'^blocks\.(\d)\.(\d+)\.', lambda match: f'blocks.{match[1]}.{int(match[2]) - 1}.'),
]
TO_OPENPCDET: List[Rule] = [
    (r'^encoder_layers\.encoder_layer(\d)\.', r'conv\1.'),
    (r'^blocks\.(\d)\.(\d+)\.', lambda match: f'blocks.{match[1]}.{int(match[2]) + 1}.'),
]

# Its VoxelResBackBone8x: a stage begins with the convolution that ends mmdet3d's stage before it.
OPENPCDET_RESIDUAL: List[Rule] = [
    (r'^conv1\.(?=[01]\.(conv|bn))', 'encoder_layers.encoder_layer1.'),
    (r'^conv([2-4])\.0\.(?=[01]\.)',
     lambda match: f'encoder_layers.encoder_layer{int(match[1]) - 1}.2.'),
    (r'^conv([2-4])\.([12])\.(?=conv|bn)',
     lambda match: f'encoder_layers.encoder_layer{match[1]}.{int(match[2]) - 1}.'),
]
TO_OPENPCDET_RESIDUAL: List[Rule] = [
    (r'^encoder_layers\.encoder_layer1\.(?=[01]\.)', 'conv1.'),
    (r'^encoder_layers\.encoder_layer(\d)\.2\.', lambda match: f'conv{int(match[1]) + 1}.0.'),
    (r'^encoder_layers\.encoder_layer(\d)\.([01])\.',
     lambda match: f'conv{match[1]}.{int(match[2]) + 1}.'),
]

LAYOUTS: Dict[str, List[Rule]] = {
    'mmdet3d': MMDET3D,
    'MinkUNet/SPVCNN of SPVNAS, NCLR, BEVContrast, ALSO, SegContrast': POINT_UNET,
    'OpenPCDet': OPENPCDET,
    'OpenPCDet, residual': OPENPCDET_RESIDUAL,
}

_LOOKS: List[Tuple[str, str]] = [
    (r'(^|\.)encoder_layers\.encoder_layer\d\.', 'a SparseEncoder (mmdet3d detector)'),
    (r'(^|\.)conv2\.0\.0\.weight$', 'a Voxel(Res)BackBone8x (OpenPCDet detector)'),
    (r'(^|\.)point_transforms\.0\.', 'an SPVCNN'),
    (r'(^|\.)(stem\.0\.kernel|conv_input\.0\.(net\.)?0\.(kernel|weight))$', 'a MinkUNet'),
    (r'(^|\.)blocks\.0\.\d\.weight$', 'a bird\'s-eye-view backbone (SECOND)'),
    (r'(^|\.)layer1\.0\.conv1\.', 'an image ResNet'),
]


def looks_like(names: Iterable[str]) -> str:
    """Say in words which networks a list of tensor names belongs to."""
    names = list(names)
    found = [words for pattern, words in _LOOKS if any(re.search(pattern, n) for n in names)]
    if 'an SPVCNN' in found and 'a MinkUNet' in found:
        found.remove('a MinkUNet')
    return ' and '.join(found) or 'no network that is known here'


def find_prefix_and_layout(names: Iterable[str], wanted: Callable[[str], bool],
                           prefix: Optional[str] = None) -> Tuple[str, str, int]:
    """Find the prefix of a network in a checkpoint, and its naming scheme.

    Every way to cut a name in prefix and rest, and every layout's translation of the rest, has a
    vote if it gives a wanted name.

    Args:
        names: Tensor names of the checkpoint.
        wanted: Whether a name, in mmdet3d's terms and without prefix, belongs to the network.
        prefix: Look only there; ``None``: anywhere.

    Returns:
        Prefix (empty or ending with a dot), key of :data:`LAYOUTS`, number of votes. The shortest
        prefix wins among equals, such as a network and its moving average.
    """
    votes: Dict[Tuple[str, str], int] = {}
    for name in names:
        cuts = [0] + [m.end() for m in re.finditer(r'\.', name)] if prefix is None else \
            [len(prefix)] * name.startswith(prefix)
        for cut in cuts[:5]:
            for layout, rules in LAYOUTS.items():
                if wanted(rename(name[cut:], rules)):
                    votes[name[:cut], layout] = votes.get((name[:cut], layout), 0) + 1
    if not votes:
        return prefix or '', 'mmdet3d', 0
    order = list(LAYOUTS)
    best = max(votes, key=lambda k: (votes[k], -len(k[0]), -order.index(k[1])))
    return best[0], best[1], votes[best]


def kernel_library(names: Iterable[str]) -> str:
    """Tell TorchSparse from MinkowskiEngine, which wraps its BatchNorm in a module."""
    return MINKOWSKI if any(name.endswith('.bn.running_mean') for name in names) else TORCHSPARSE
