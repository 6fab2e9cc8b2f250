"""CrossI2P on nuScenes' front camera."""
_base_ = [
    '../_base_/models/crossi2p.py', '../_base_/datasets/nuscenes_i2p.py',
    '../_base_/schedules/crossi2p_100e_nuscenes.py', '../_base_/default_runtime.py'
]

# schedule
default_hooks = dict(pose_loss_schedule=dict(type='PoseLossScheduleHook', begin=0.5, end=0.6))
