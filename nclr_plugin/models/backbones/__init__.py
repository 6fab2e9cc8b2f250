"""Point and image backbones, each split into ``encode`` and ``decode``."""
from mmengine.registry import MODELS

from nclr_plugin.utils.optional import optional_import
from .dgcnn import DGCNN
from .image_branch import ResNetFPN
from .input_spread import InputSpread

__all__ = ['DGCNN', 'InputSpread', 'ResNetFPN', 'build_split_minkunet', 'build_split_resunet',
           'build_split_sparse_encoder', 'build_split_spvcnn']


def _import_hosts(name: str) -> None:
    optional_import('spconv.pytorch', 'spconv-cu120', name)
    optional_import('mmdet3d.models', 'mmdet3d', name)


@MODELS.register_module(name='SplitMinkUNet')
def build_split_minkunet(**kwargs):
    """Build a ``SplitMinkUNet``; its host is imported only now.

    Raises:
        ImportError: mmdet3d or spconv is not installed.
    """
    _import_hosts('SplitMinkUNet')
    from .minkunet import SplitMinkUNet
    return SplitMinkUNet(**kwargs)


@MODELS.register_module(name='SplitSPVCNN')
def build_split_spvcnn(**kwargs):
    """Build a ``SplitSPVCNN``, as :func:`build_split_minkunet` does.

    Raises:
        ImportError: mmdet3d or spconv is not installed.
    """
    _import_hosts('SplitSPVCNN')
    from .spvcnn import SplitSPVCNN
    return SplitSPVCNN(**kwargs)


@MODELS.register_module(name='SplitResUNet')
def build_split_resunet(**kwargs):
    """Build a ``SplitResUNet``, as :func:`build_split_minkunet` does.

    Raises:
        ImportError: mmdet3d or spconv is not installed.
    """
    _import_hosts('SplitResUNet')
    from .resunet import SplitResUNet
    return SplitResUNet(**kwargs)


@MODELS.register_module(name='SplitSparseEncoder')
def build_split_sparse_encoder(**kwargs):
    """Build a ``SplitSparseEncoder``, as :func:`build_split_minkunet` does.

    Raises:
        ImportError: mmdet3d or spconv is not installed.
    """
    _import_hosts('SplitSparseEncoder')
    from .voxelnet import SplitSparseEncoder
    return SplitSparseEncoder(**kwargs)
