"""NCLR as printed, MinkUNet-34 on SemanticKITTI: no part, limit or augmentation is added.

No yaw head, no position codes where points and pixels are compared, all bottleneck voxels as
keypoints, Eq. 5 without a temperature, fixed overlap thresholds, pixel labels of Eq. 3 without
dilation, Eq. 7 of every pose, all voxels, no flips and colours, no clipping, a cosine to 0. What
remains of the default, because the paper does not say it, is in the README beside this file.
"""
_base_ = ['./nclr_minkunet34_semantickitti.py']

# model settings
model = dict(
    data_preprocessor=dict(max_voxels=None),
    fusion=dict(num_keypoints=1000000),
    matching_head=dict(position_channels=0, match_temperature=1.),
    overlap_head=dict(thresholds=(0.5, 0.5)),
    yaw_head=None,
    pose_head=dict(max_reprojection_error=1e9),
    overlap_dilation=0,
    num_voxels=1000000)

# dataset settings
train_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))

# schedule
optim_wrapper = dict(clip_grad=None)
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, eta_min_ratio=0)]
