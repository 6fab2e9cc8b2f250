"""CrossI2P on nuScenes' front camera."""
_base_ = [
    '../_base_/models/crossi2p.py', '../_base_/datasets/nuscenes_i2p.py',
    '../_base_/schedules/crossi2p_100e.py', '../_base_/default_runtime.py'
]
# 28,130 key frames on two GPUs.
iterations_per_epoch = 14065
train_cfg = dict(
    max_iters=100 * iterations_per_epoch,
    num_samples=200 * iterations_per_epoch,
    val_interval=5 * iterations_per_epoch)
param_scheduler = [
    dict(type='StepLR', by_epoch=False, step_size=5 * iterations_per_epoch, gamma=0.25),
]
default_hooks = dict(pose_loss_schedule=dict(type='PoseLossScheduleHook', begin=0.5, end=0.6))
