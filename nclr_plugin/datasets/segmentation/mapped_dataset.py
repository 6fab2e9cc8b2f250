"""A host data set that brings its own label map."""
from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np
from mmdet3d.datasets import Seg3DDataset


class MappedSegDataset(Seg3DDataset):
    """mmdet3d's ``Seg3DDataset`` with the map from raw labels to classes in ``METAINFO``.

    The classes are 0..K-1; raw labels that stand for no class, and raw labels that the map does
    not know, are K, the index to be ignored. That the latter do not occur is checked before
    training by :func:`~nclr_plugin.datasets.segmentation.check_labels`.

    Args:
        metainfo: Overrides ``METAINFO``.
        data_prefix: Folders below the data root that the paths of the infos are relative to:
            ``pts``, ``pts_semantic_mask``. Default: the data root itself.
        kwargs: As for the host.
    """

    def __init__(self,
                 metainfo: Optional[dict] = None,
                 data_prefix: Optional[Dict[str, str]] = None,
                 **kwargs: Any) -> None:
        super().__init__(
            metainfo={**self.METAINFO, **(metainfo or {})},
            data_prefix=data_prefix or dict(pts='', pts_semantic_mask=''),
            **kwargs)

    def get_seg_label_mapping(self, metainfo: dict) -> np.ndarray:
        """(max_label + 1,) int64: the class of each raw label."""
        mapping = np.full(metainfo['max_label'] + 1, self.ignore_index, dtype=np.int64)
        for raw, index in metainfo['seg_label_mapping'].items():
            mapping[raw] = index
        return mapping
