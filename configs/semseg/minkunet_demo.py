"""The backbone of configs/nclr/pretrain_demo.py on the labels of the demo world, minutes on a CPU.

NCLR_FRACTION, NCLR_CHECKPOINT, NCLR_LINEAR_PROBE as in the others; NCLR_DEMO_ROOT. As many steps
for each label fraction.
"""
_base_ = ['./minkunet34_semantickitti.py', '../_base_/models/demo_backbone.py']
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'

model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=dict(
        _delete_=True,
        **_base_.pop('demo_backbone'),
        init_cfg=_base_.model.backbone.init_cfg),
    decode_head=dict(channels=32))

train_dataloader = dict(
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root))
# The statistics are those of two scans, as in training.
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))

train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=400, val_interval=400)
# Few steps: with AdamW's 1e-3 for all, a new head can hardly leave its initial weights.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
