# Fine-tuning on all labels or a fraction of them: the fewer labels, the more epochs (paper, section
# 4.2, and published code).
_base_ = 'mmdet3d::_base_/default_runtime.py'

# schedule
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=3)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# Epochs up to a percentage of the labels: `tools/train.py --fraction PERCENT`.
fraction_epochs = [(0.1, 1000), (1, 500), (10, 100), (50, 50), (100, 30)]

optim_wrapper = dict(
    type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01))
# The cosine ends at train_cfg.max_epochs.
param_scheduler = [
    dict(type='CosineAnnealingLR', eta_min=0, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(enable=False, base_batch_size=2)

# runtime settings
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
randomness = dict(seed=0)
# Tables report the last epoch; the best one on the validation set is saved as well.
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=1, save_best='miou', rule='greater'))
custom_hooks = [
    dict(type='LabelCheckHook'),
    dict(type='CheckpointGuardHook', prefix='backbone.'),  # load_from may bring other heads
]
