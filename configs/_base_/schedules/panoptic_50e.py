# 50 epochs for every label fraction (paper, section 4.4).
_base_ = './finetune_seg.py'

# schedule
epochs = 50
warmup_epochs = 2
train_cfg = dict(max_epochs=epochs, val_interval=5)
fraction_epochs = None

# The paper's maximum learning rate is 0.2; the code of its baseline has 0.02:
# `--cfg-options optim_wrapper.optimizer.lr=0.02`.
# The baseline's batch: 8 scans, gradients of 4 batches accumulated.
optim_wrapper = dict(
    optimizer=dict(lr=0.2),
    clip_grad=dict(max_norm=0.5),
    accumulative_counts=4)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=0.01,
        begin=0,
        end=warmup_epochs,
        by_epoch=True,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        begin=warmup_epochs,
        end=epochs,
        T_max=epochs - warmup_epochs,
        eta_min=0,
        by_epoch=True,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=8)

# runtime settings
default_hooks = dict(checkpoint=dict(interval=5, save_best='pq'))
