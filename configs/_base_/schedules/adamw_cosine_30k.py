# schedule
# 30,000 steps of 32 scans are 50 epochs of SemanticKITTI's 19,130 training scans.
# `train_cfg.max_iters` alone changes the length: the schedulers follow.
train_cfg = dict(
    type='ResumableIterLoop', max_iters=30000, num_samples=30000 * 32, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-3),
    clip_grad=dict(max_norm=10.))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=False, eta_min_ratio=0.01),
]
auto_scale_lr = dict(enable=False, base_batch_size=32)
