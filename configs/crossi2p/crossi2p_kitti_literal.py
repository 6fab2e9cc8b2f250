"""CrossI2P with the losses as printed, and no part added to the paper's.

Instances are whole pairs, Eq. 5 has the printed denominator, Eq. 15 the matched pixels. The pose
losses begin at once and count every solved pose. There is no yaw head and no overlap head.
"""
_base_ = ['./crossi2p_kitti.py']

# model settings
model = dict(
    contrastive_head=dict(literal=True),
    reprojection_target='matched',
    overlap_head=None,
    yaw_head=None,
    pose_head=dict(max_reprojection_error=1e9))

# schedule
default_hooks = dict(pose_loss_schedule=dict(begin=0., end=0.))
