"""MinkUNet-34 on SemanticKITTI, 0.05 m voxels.

NCLR_FRACTION (percent of the labels), NCLR_CHECKPOINT (a pretrained backbone; none: from scratch),
NCLR_LINEAR_PROBE=1 (backbone frozen), NCLR_SKITTI_ROOT.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/datasets/semantickitti_seg.py',
    '../_base_/schedules/finetune_seg.py', '../_base_/seg_runtime.py'
]
