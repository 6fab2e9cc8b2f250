"""CrossI2P with the losses as printed: whole pairs are the instances, Eq. 5 has its denominator,
Eq. 15 the matched pixels, the pose losses begin at once and count whatever pose was solved, and no
part is added to the paper's (direction, overlap)."""
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
