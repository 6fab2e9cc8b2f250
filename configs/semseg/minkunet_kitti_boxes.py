"""The backbone of configs/nclr/nclr_minkunet_kitti_real.py on KITTI frames labelled by their boxes.

NCLR_REAL_ROOT: the frames. `tools/train.py --fraction`, `--checkpoint` as in the others. Every
label fraction trains for the same number of steps.
"""
_base_ = [
    '../_base_/models/seg_minkunet34.py', '../_base_/models/demo_parts.py',
    '../_base_/datasets/kitti_boxes_seg.py', '../_base_/schedules/finetune_seg.py'
]

# model settings
model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=dict(
        _delete_=True,
        **_base_.demo_backbone,
        init_cfg=_base_.model.backbone.init_cfg),
    decode_head=dict(channels=32, num_classes=5, ignore_index=5))

# dataset settings
train_dataloader = dict(
    num_workers=1, sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True))
# Batch statistics are those of two scans, as in training.
val_dataloader = dict(batch_size=2)
test_dataloader = dict(batch_size=2)

# schedule
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=400, val_interval=400)
fraction_epochs = None
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]

# runtime settings
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
