"""The backbone of configs/nclr/nclr_minkunet_kitti_real.py on KITTI frames labelled by their boxes.

NCLR_REAL_ROOT: the frames. `tools/train.py --fraction`, `--checkpoint` as in the others. Every
label fraction trains for the same number of steps.
"""
_base_ = [
    '../_base_/models/seg_minkunet_demo.py', '../_base_/datasets/kitti_boxes_seg.py',
    '../_base_/schedules/finetune_seg_demo.py'
]

# model settings
model = dict(decode_head=dict(num_classes=5, ignore_index=5))

# dataset settings
train_dataloader = dict(
    num_workers=1, sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
# Batch statistics are those of two scans, as in training.
val_dataloader = dict(batch_size=2)
test_dataloader = dict(batch_size=2)

# schedule
# Pretrained layers learn at a tenth: at the rate of a new head, 400 steps of AdamW leave nothing of
# them.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))
