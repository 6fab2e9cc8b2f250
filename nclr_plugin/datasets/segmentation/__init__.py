"""Labelled scans for the host's ``Seg3DDataset``: infos, label fractions, more data sets."""
from mmengine.registry import DATASETS, TRANSFORMS

from nclr_plugin.utils.optional import optional_import
from .fractions import LabelSplit, select_evenly, select_randomly, select_scenes
from .infos import list_infos, read_infos, write_infos
from .label_check import check_labels

__all__ = [
    'LabelSplit', 'build_nuscenes_seg', 'build_scale_intensity', 'build_semanticposs',
    'check_labels', 'list_infos', 'read_infos', 'select_evenly', 'select_randomly',
    'select_scenes', 'write_infos'
]


@DATASETS.register_module(name='SemanticPossDataset')
def build_semanticposs(**kwargs):
    """Build a ``SemanticPossDataset``; its host is imported only now.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.datasets', 'mmdet3d', 'SemanticPossDataset')
    from .semanticposs import SemanticPossDataset
    return SemanticPossDataset(**kwargs)


@DATASETS.register_module(name='NuScenesSegDataset')
def build_nuscenes_seg(**kwargs):
    """Build a ``NuScenesSegDataset``, as :func:`build_semanticposs` does.

    Raises:
        ImportError: mmdet3d is not installed.
    """
    optional_import('mmdet3d.datasets', 'mmdet3d', 'NuScenesSegDataset')
    from .nuscenes import NuScenesSegDataset
    return NuScenesSegDataset(**kwargs)


@TRANSFORMS.register_module(name='ScaleIntensity')
def build_scale_intensity(**kwargs):
    """Build a ``ScaleIntensity``, as :func:`build_semanticposs` does.

    Raises:
        ImportError: mmcv is not installed.
    """
    optional_import('mmcv.transforms', 'mmcv', 'ScaleIntensity')
    from .scale_intensity import ScaleIntensity
    return ScaleIntensity(**kwargs)
