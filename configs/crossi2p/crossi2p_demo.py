"""CrossI2P on the generated demo world: a small model that learns on a CPU."""
_base_ = [
    '../_base_/models/crossi2p.py', '../_base_/models/demo_parts.py',
    '../_base_/datasets/demo_i2p.py', '../_base_/schedules/demo_8k.py',
    '../_base_/default_runtime.py'
]
voxel_size = 0.5

# model settings
model = dict(
    data_preprocessor=dict(voxel_size=(voxel_size, ) * 3),
    point_backbone=dict(
        channels=(32, 32, 64),
        out_channels=64,
        k=8,
        dynamic=False,
        dilations=(1, 4, 16),
        # In units of 10 m: steps to a neighbour are small, and the position in the scan tells
        # nothing.
        init_cfg=[
            dict(type='InputScaleInit', layer='layers.0.centre', std=(None, None, 0.1, 0.3)),
            dict(type='InputScaleInit', layer='layers.0.edge', std=(0.05, 0.05, 0.05, 0.3)),
        ]),
    image_branch=_base_.demo_image_branch,
    transformer=dict(num_layers=2, ffn_channels=192),
    contrastive_head=dict(out_channels=64),
    pose_head=dict(inlier_threshold=8.),
    embed_dims=96,
    superpoints=dict(num_groups=192, radius=4., group_size=16),
    patches=dict(top_k=3, margin=4),
    num_samples=256,
    loss_balancer=dict(momentum=0.99))

# dataset settings
# Nearly all points: with a quarter of them the yaw is not found.
sample = dict(type='VoxelSample', num_points=8192, voxel_size=voxel_size)
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, sample, _base_.resize, *_base_.augment,
    _base_.pack]
test_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, sample, _base_.noise, _base_.resize,
    _base_.occlusion, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# schedule
default_hooks = dict(pose_loss_schedule=dict(type='PoseLossScheduleHook', begin=0.5, end=0.6))
