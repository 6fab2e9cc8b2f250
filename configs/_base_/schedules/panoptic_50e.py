# 50 epochs whatever the label fraction (paper, section 4.4). The paper states AdamW with a maximum
# learning rate of 0.2, the default here; the code of its baseline takes 0.02: NCLR_LR=0.02.
lr = float('{{$NCLR_LR:0.2}}')
epochs = 50
warmup_epochs = 2

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# The baseline's batch: 8 scans, gradients of 4 of them accumulated.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01),
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
auto_scale_lr = dict(enable=False, base_batch_size=8)
