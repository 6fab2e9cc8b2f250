"""MinkUNet-34 on SemanticKITTI, 0.05 m voxels.

NCLR_SEMANTICKITTI_ROOT: the data set. `tools/train.py --checkpoint FILE` loads a pretrained
backbone, `--fraction PERCENT` takes a part of the labels,
`--cfg-options model.type=LinearProbeMinkUNet` freezes the backbone.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/datasets/semantickitti_seg.py',
    '../_base_/schedules/finetune_seg.py'
]
