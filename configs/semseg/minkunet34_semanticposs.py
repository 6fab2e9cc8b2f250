"""MinkUNet-34 on SemanticPOSS, 0.05 m voxels.

NCLR_POSS_ROOT: the data set. `tools/train.py --checkpoint FILE` loads a pretrained
backbone, `--fraction PERCENT` takes a part of the labels,
`--cfg-options model.type=LinearProbeMinkUNet` freezes the backbone.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/datasets/semanticposs_seg.py',
    '../_base_/schedules/finetune_seg.py'
]

# model settings
model = dict(decode_head=dict(num_classes=13, ignore_index=13))
