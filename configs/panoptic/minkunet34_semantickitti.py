"""Panoptic MinkUNet-34 on SemanticKITTI, 0.05 m voxels (paper, Table 4).

NCLR_SEMANTICKITTI_ROOT: the data set. `tools/train.py --checkpoint FILE` loads a pretrained
backbone, `--fraction PERCENT` takes a part of the labels.
"""
_base_ = [
    '../_base_/models/panoptic_minkunet34.py', '../_base_/datasets/semantickitti_panoptic.py',
    '../_base_/schedules/panoptic_50e.py'
]
