# Fine-tuning for minutes on a CPU. Every label fraction trains for the same number of steps.
_base_ = './finetune_seg.py'

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
