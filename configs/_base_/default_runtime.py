# runtime settings
custom_imports = dict(imports=['nclr_plugin'], allow_failed_imports=False)
default_scope = 'mmengine'

env_cfg = dict(
    cudnn_benchmark=True,  # images have one size
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=500, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    checkpoint_guard=dict(type='CheckpointGuardHook'))
custom_hooks = [
    dict(type='IterationSeedHook'),
    dict(type='NonFiniteHook', max_skipped=50),
    dict(type='BrokenFrameHook'),
]
log_processor = dict(type='LogProcessor', window_size=20, by_epoch=False)
log_level = 'INFO'
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)

load_from = None
resume = False
