"""CrossI2P on KITTI odometry, as in the paper.

2 GPUs: torchrun --nproc_per_node 2 tools/train.py configs/crossi2p/crossi2p_kitti.py \
    --launcher pytorch --amp
"""
_base_ = [
    '../_base_/models/crossi2p.py', '../_base_/datasets/kitti_i2p.py',
    '../_base_/schedules/crossi2p_100e.py', '../_base_/default_runtime.py'
]

# schedule
default_hooks = dict(pose_loss_schedule=dict(type='PoseLossScheduleHook', begin=0.5, end=0.6))
