"""Panoptic MinkUNet-34 on SemanticKITTI, 0.05 m voxels (paper, Table 4).

NCLR_FRACTION (percent of the labels), NCLR_CHECKPOINT (a pretrained backbone; empty: from scratch),
NCLR_LR (maximum learning rate), NCLR_SKITTI_ROOT.
"""
_base_ = [
    '../_base_/models/panoptic_minkunet34.py', '../_base_/datasets/semantickitti_panoptic.py',
    '../_base_/schedules/panoptic_50e.py', '../_base_/panoptic_runtime.py'
]
