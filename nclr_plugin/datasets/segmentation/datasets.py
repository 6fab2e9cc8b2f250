"""Data sets and a transform for segmentation in mmdet3d."""
from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet3d.datasets import Seg3DDataset


class MappedSegDataset(Seg3DDataset):
    """mmdet3d's ``Seg3DDataset`` with the map from raw labels to classes in ``METAINFO``.

    The classes are 0..K-1. Raw labels without a class, and unknown raw labels, become K, the ignore
    index. :func:`~nclr_plugin.datasets.segmentation.check_labels` refuses unknown labels before
    training.

    Args:
        metainfo: Overrides of ``METAINFO``.
        data_prefix: Folders below the data root for the paths of the infos: ``pts``,
            ``pts_semantic_mask``. Default: the data root.
        kwargs: Arguments of ``Seg3DDataset``.
    """

    def __init__(self,
                 metainfo: dict | None = None,
                 data_prefix: dict[str, str] | None = None,
                 **kwargs: Any) -> None:
        super().__init__(
            metainfo={**self.METAINFO, **(metainfo or {})},
            data_prefix=data_prefix or dict(pts='', pts_semantic_mask=''),
            **kwargs)

    def get_seg_label_mapping(self, metainfo: dict) -> np.ndarray:
        """Return the class of each raw label, (max_label + 1,) int64."""
        mapping = np.full(metainfo['max_label'] + 1, self.ignore_index, dtype=np.int64)
        for raw, index in metainfo['seg_label_mapping'].items():
            mapping[raw] = index
        return mapping


class KittiBoxesSegDataset(MappedSegDataset):
    """KITTI object frames whose points are labelled by 3D boxes.

    Labels and infos are written by ``tools/create_infos.py kitti_boxes``. There are 5 classes; the
    ignore index is 5: points outside the image, and ``DontCare``.
    """
    METAINFO = {
        'classes': ('car', 'van / truck', 'pedestrian', 'cyclist', 'other'),
        'palette': [[100, 150, 245], [80, 30, 180], [255, 30, 30], [255, 40, 200], [120, 120, 120]],
        'seg_valid_class_ids': tuple(range(5)),
        'seg_all_class_ids': tuple(range(5)),
        'seg_label_mapping': {0: 5, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4},
        'max_label': 5,
    }


class NuScenesSegDataset(MappedSegDataset):
    """nuScenes-lidarseg with the infos of mmdet3d's ``tools/create_data.py nuscenes``.

    The 32 raw categories are mapped to the 16 classes of the challenge, in its order. Class k here
    is class k + 1 of the challenge; its class 0, ignored, is 16 here.
    """
    METAINFO = {
        'classes': ('barrier', 'bicycle', 'bus', 'car', 'construction_vehicle', 'motorcycle',
                    'pedestrian', 'traffic_cone', 'trailer', 'truck', 'driveable_surface',
                    'other_flat', 'sidewalk', 'terrain', 'manmade', 'vegetation'),
        'palette': [[112, 128, 144], [220, 20, 60], [255, 127, 80], [255, 158, 0], [233, 150, 70],
                    [255, 61, 99], [0, 0, 230], [47, 79, 79], [255, 140, 0], [255, 99, 71],
                    [0, 207, 191], [175, 0, 75], [75, 0, 75], [112, 180, 60], [222, 184, 135],
                    [0, 175, 0]],
        'seg_valid_class_ids': tuple(range(16)),
        'seg_all_class_ids': tuple(range(16)),
        'seg_label_mapping': {
            0: 16,  # noise
            1: 16,  # animal
            2: 6,
            3: 6,
            4: 6,
            5: 16,  # personal mobility
            6: 6,
            7: 16,  # stroller
            8: 16,  # wheelchair
            9: 0,
            10: 16,  # debris
            11: 16,  # pushable, pullable
            12: 7,
            13: 16,  # bicycle rack
            14: 1,
            15: 2,
            16: 2,
            17: 3,
            18: 4,
            19: 16,  # ambulance
            20: 16,  # police car
            21: 5,
            22: 8,
            23: 9,
            24: 10,
            25: 11,
            26: 12,
            27: 13,
            28: 14,
            29: 16,  # static, other
            30: 15,
            31: 16,  # ego vehicle
        },
        'max_label': 31,
    }


class SemanticPossDataset(MappedSegDataset):
    """SemanticPOSS: ``sequences/{00..05}/{velodyne,labels}``, with files as in SemanticKITTI.

    There are 13 classes; the ignore index is 13. ``tools/create_infos.py semanticposs`` writes the
    infos, with sequence 03 for validation.
    """
    METAINFO = {
        'classes': ('people', 'rider', 'car', 'trunk', 'plants', 'traffic-sign', 'pole', 'trashcan',
                    'building', 'cone/stone', 'fence', 'bike', 'ground'),
        'palette': [[255, 30, 30], [255, 40, 200], [100, 150, 245], [135, 60, 0], [0, 175, 0],
                    [255, 0, 0], [255, 240, 150], [125, 255, 0], [255, 200, 0], [255, 0, 125],
                    [255, 120, 50], [100, 230, 245], [255, 0, 255]],
        'seg_valid_class_ids': tuple(range(13)),
        'seg_all_class_ids': tuple(range(13)),
        'seg_label_mapping': {
            0: 13,  # unlabelled
            4: 0,  # one person
            5: 0,  # a group of people
            6: 1,
            7: 2,
            8: 3,
            9: 4,
            10: 5,  # three kinds of traffic signs
            11: 5,
            12: 5,
            13: 6,
            14: 7,
            15: 8,
            16: 9,
            17: 10,
            21: 11,
            22: 12,
        },
        'max_label': 22,
    }


class ScaleIntensity(BaseTransform):
    """Scale the intensities of mmdet3d's points.

    nuScenes stores intensities in 0..255, and mmdet3d does not scale them. Pretraining scales them
    to 0..1 (:class:`~nclr_plugin.datasets.LoadPoints`), so fine-tuning must do the same.

    Args:
        scale: Factor, such as 1/255.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def transform(self, results: dict) -> dict:
        """Scale column 3 of ``points`` (N, 4+), a ``BasePoints``, in place."""
        results['points'].tensor[:, 3] *= self.scale
        return results
