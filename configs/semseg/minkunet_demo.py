"""The backbone of nclr_minkunet_demo.py on the labels of the demo world, minutes on a CPU.

NCLR_DEMO_ROOT: the demo world. `tools/train.py --fraction`, `--checkpoint` as in the others. Every
label fraction trains for the same number of steps.
"""
_base_ = ['./minkunet34_semantickitti.py', '../_base_/models/demo_parts.py']

# model settings
model = dict(
    data_preprocessor=dict(voxel_layer=dict(voxel_size=[0.5, 0.5, 0.5])),
    backbone=dict(
        _delete_=True,
        **_base_.demo_backbone,
        init_cfg=_base_.model.backbone.init_cfg),
    decode_head=dict(channels=32))

# dataset settings
data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
train_dataloader = dict(
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(data_root=data_root))
# Batch statistics are those of two scans, as in training.
val_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))
test_dataloader = dict(batch_size=2, dataset=dict(data_root=data_root))

# schedule
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=400, val_interval=400)
fraction_epochs = None
# Few steps: with AdamW's 1e-3 for all layers, a new head hardly leaves its initial weights.
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.))))
param_scheduler = [dict(type='CosineAnnealingLR', eta_min=0, by_epoch=False)]

# runtime settings
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=200),
    logger=dict(log_metric_by_epoch=False))
log_processor = dict(by_epoch=False)
