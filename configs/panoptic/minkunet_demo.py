"""The backbone of configs/nclr/pretrain_demo.py on the demo world's labels, minutes on a CPU.

NCLR_FRACTION, NCLR_CHECKPOINT as in the others; NCLR_DEMO_ROOT. As many steps for each label
fraction.
"""
_base_ = ['./minkunet34_semantickitti.py', '../_base_/models/demo_backbone.py']
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'

model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=dict(
        _delete_=True,
        **_base_.pop('demo_backbone'),
        init_cfg=_base_.model.backbone.init_cfg),
    decode_head=dict(channels=32),
    offset_head=dict(channels=32))
# A scan has fewer points than a sample of them.
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'PointSample']
train_dataloader = dict(
    batch_size=2,
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=600, val_interval=600)
# Few steps: new heads learn faster than what is below them, as in configs/semseg/minkunet_demo.py.
optim_wrapper = dict(
    optimizer=dict(lr=float('{{$NCLR_LR:0.002}}')),
    paramwise_cfg=dict(
        custom_keys=dict(decode_head=dict(lr_mult=10.), offset_head=dict(lr_mult=10.))),
    clip_grad=dict(max_norm=10.),
    accumulative_counts=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=30, by_epoch=False),
    dict(type='CosineAnnealingLR', begin=30, eta_min=0, by_epoch=False)
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=300),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
