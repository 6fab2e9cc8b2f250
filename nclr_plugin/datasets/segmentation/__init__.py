"""Labelled scans for mmdet3d's ``Seg3DDataset``: infos, label fractions, more data sets."""
from mmengine.registry import DATASETS, TRANSFORMS

from ...utils.optional import register_lazily
from .infos import list_infos, read_infos, write_infos
from .labels import LoadPanopticLabels, check_labels

__all__ = [
    'KittiBoxesSegDataset', 'LoadPanopticLabels', 'NuScenesSegDataset', 'ScaleIntensity',
    'SemanticPossDataset', 'check_labels', 'list_infos', 'read_infos', 'write_infos'
]

MMDET3D = ('mmdet3d.datasets', 'mmdet3d')
SemanticPossDataset = register_lazily(
    DATASETS, 'SemanticPossDataset', f'{__name__}.datasets', MMDET3D)
NuScenesSegDataset = register_lazily(
    DATASETS, 'NuScenesSegDataset', f'{__name__}.datasets', MMDET3D)
KittiBoxesSegDataset = register_lazily(
    DATASETS, 'KittiBoxesSegDataset', f'{__name__}.datasets', MMDET3D)
ScaleIntensity = register_lazily(TRANSFORMS, 'ScaleIntensity', f'{__name__}.datasets', MMDET3D)
