"""Labelled scans for the host's ``Seg3DDataset``: infos, label fractions, more data sets."""
from mmengine.registry import DATASETS, TRANSFORMS

from nclr_plugin.registry import register_lazily
from .fractions import LabelSplit, select_evenly, select_randomly, select_scenes
from .infos import list_infos, read_infos, write_infos
from .label_check import check_labels

__all__ = [
    'LabelSplit', 'NuScenesSegDataset', 'ScaleIntensity', 'SemanticPossDataset',
    'check_labels', 'list_infos', 'read_infos', 'select_evenly', 'select_randomly',
    'select_scenes', 'write_infos'
]

HOST = ('mmdet3d.datasets', 'mmdet3d')
SemanticPossDataset = register_lazily(
    DATASETS, 'SemanticPossDataset', f'{__name__}.semanticposs', HOST)
NuScenesSegDataset = register_lazily(
    DATASETS, 'NuScenesSegDataset', f'{__name__}.nuscenes', HOST)
ScaleIntensity = register_lazily(
    TRANSFORMS, 'ScaleIntensity', f'{__name__}.scale_intensity', ('mmcv.transforms', 'mmcv'))
