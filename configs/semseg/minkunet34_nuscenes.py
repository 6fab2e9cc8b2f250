"""MinkUNet-34 on nuScenes-lidarseg, 0.1 m voxels.

NCLR_NUSCENES_ROOT: the data set. `tools/train.py --checkpoint FILE` loads a pretrained
backbone, `--fraction PERCENT` takes a part of the labels,
`--cfg-options model.type=LinearProbeMinkUNet` freezes the backbone.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/datasets/nuscenes_seg.py',
    '../_base_/schedules/finetune_seg.py'
]

# model settings
model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.1, 0.1, 0.1])),
    decode_head=dict(num_classes=16, ignore_index=16))

# schedule
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
auto_scale_lr = dict(base_batch_size=8)
