"""SemanticPOSS for mmdet3d."""
from __future__ import annotations

from .mapped_dataset import MappedSegDataset


class SemanticPossDataset(MappedSegDataset):
    """SemanticPOSS: ``sequences/{00..05}/{velodyne,labels}``, the files as in SemanticKITTI.

    13 classes are evaluated; 13 is the index to be ignored. The infos are written by
    ``tools/create_infos.py semanticposs``, with sequence 03 for validation.
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
