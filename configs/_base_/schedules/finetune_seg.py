# Fine-tuning on a label fraction: NCLR_FRACTION in percent; the fewer labels, the more epochs
# (paper, section 4.2, and published code).
fraction = float('{{$NCLR_FRACTION:100}}')
if not 0 < fraction <= 100:
    raise ValueError(f'NCLR_FRACTION: expected a percentage above 0 and up to 100, got {fraction}')
epochs = next(number for most, number in
              ((0.1, 1000), (1, 500), (10, 100), (50, 50), (100, 30)) if fraction <= most)

train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=max(1, epochs // 10))
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
# Its end is train_cfg.max_epochs.
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=2)
