_base_ = 'mmdet3d::_base_/default_runtime.py'

custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
randomness = dict(seed=0)
# The last epoch is what a table shows; the best one on the validation set is kept beside it.
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=1, save_best='miou', rule='greater'))
custom_hooks = [
    dict(type='SparseAlgoHook'),
    dict(type='LabelCheckHook'),
    dict(type='CheckpointGuardHook', prefix='backbone.'),  # load_from may bring other heads
]
