"""Point and image backbones, each split into ``encode`` and ``decode``."""
from mmengine.registry import MODELS

from ...utils.optional import register_lazily
from .dgcnn import DGCNN
from .image_branch import ResNetFPN
from .timm_branch import TimmFPN

__all__ = ['DGCNN', 'ResNetFPN', 'SplitMinkUNet', 'SplitResUNet', 'SplitSPVCNN',
           'SplitSparseEncoder', 'TimmFPN']

NEEDS = ('spconv.pytorch', 'spconv-cu120'), ('mmdet3d.models', 'mmdet3d')
SplitMinkUNet = register_lazily(MODELS, 'SplitMinkUNet', f'{__name__}.minkunet', *NEEDS)
SplitResUNet = register_lazily(MODELS, 'SplitResUNet', f'{__name__}.minkunet', *NEEDS)
SplitSPVCNN = register_lazily(MODELS, 'SplitSPVCNN', f'{__name__}.minkunet', *NEEDS)
SplitSparseEncoder = register_lazily(
    MODELS, 'SplitSparseEncoder', f'{__name__}.voxelnet', *NEEDS)
