"""The backbone of configs/nclr/nclr_minkunet_demo.py on the demo world's labels, minutes on a CPU.

NCLR_DEMO_ROOT: the demo world. `tools/train.py --fraction`, `--checkpoint` as in the others. Every
label fraction trains for the same number of steps.
"""
_base_ = ['./minkunet34_semantickitti.py', '../_base_/models/demo_parts.py']

# model settings
model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=_base_.demo_seg_backbone,
    decode_head=dict(channels=32),
    offset_head=dict(channels=32))

# dataset settings
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
# Without sampling: a scan has fewer points than 80,000.
train_pipeline = [*_base_.load, *_base_.labels, _base_.crop, *_base_.augment, _base_.pack]
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))

# schedule
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=600, val_interval=600)
# Few steps: new heads learn faster than the layers below, as in finetune_seg_demo.py.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(
        custom_keys=dict(decode_head=dict(lr_mult=10.), offset_head=dict(lr_mult=10.))),
    clip_grad=dict(max_norm=10.),
    accumulative_counts=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=30, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=30, eta_min=0, by_epoch=False)
]

# runtime settings
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=300),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
