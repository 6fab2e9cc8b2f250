# model settings
# A small NCLR for the demo world, voxels of 0.5 m.
_base_ = ['./nclr_minkunet34.py', './demo_parts.py']

model = dict(
    data_preprocessor=dict(voxel_size=(0.5, 0.5, 0.5), max_voxels=None),
    point_backbone=_base_.demo_backbone,
    image_branch=_base_.demo_image_branch,
    fusion=dict(embed_dims=96, num_heads=4, num_layers=2, ffn_channels=192),
    pose_head=dict(inlier_threshold=8.),
    loss_weights=dict(yaw=1.),
    num_samples=256)
