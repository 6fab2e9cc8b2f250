"""MinkUNet-34 on nuScenes-lidarseg, 0.1 m voxels.

NCLR_FRACTION (percent of the labels), NCLR_CHECKPOINT (a pretrained backbone; none: from scratch),
NCLR_LINEAR_PROBE=1 (backbone frozen), NCLR_NUSCENES_ROOT.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/datasets/nuscenes_seg.py',
    '../_base_/schedules/finetune_seg.py', '../_base_/seg_runtime.py'
]
model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.1, 0.1, 0.1])),
    decode_head=dict(num_classes=16, ignore_index=16))
optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
auto_scale_lr = dict(base_batch_size=8)
