"""nuScenes-lidarseg for mmdet3d."""
from __future__ import annotations

from .mapped_dataset import MappedSegDataset


class NuScenesSegDataset(MappedSegDataset):
    """nuScenes-lidarseg: key frames of the infos of mmdet3d's ``tools/create_data.py nuscenes``.

    The 32 raw categories become the 16 classes of the challenge, in its order: class k here is
    k + 1 there, whose 0, to be ignored, is 16 here.
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
