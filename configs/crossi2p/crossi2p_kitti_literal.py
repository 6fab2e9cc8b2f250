"""CrossI2P as printed: the contrastive, pose and reprojection losses and their weights.

Instances are whole pairs, Eq. 5 has the printed denominator, Eq. 15 the matched pixels. The pose
losses begin at once and count every solved pose. GradNorm updates in every step. There is no yaw
head and no overlap head, points and pixels are compared without codes of their positions, gradients
are not clipped and colours not changed. What remains of the default is in the README beside this
file.
"""
_base_ = ['./crossi2p_kitti.py']

# model settings
model = dict(
    contrastive_head=dict(literal=True),
    reprojection_target='matched',
    overlap_head=None,
    loss_balancer=dict(interval=1),
    matching_head=dict(position_channels=0),
    yaw_head=None,
    pose_head=dict(max_reprojection_error=1e9))

# dataset settings
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'ColorJitter']
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# schedule
optim_wrapper = dict(clip_grad=None)
default_hooks = dict(pose_loss_schedule=dict(begin=0., end=0.))
