"""NCLR on the generated demo world: a small model that learns within minutes on a CPU."""
_base_ = [
    '../_base_/models/nclr_minkunet34.py', '../_base_/models/demo_backbone.py', '../_base_/demo.py'
]

yaw = 3.141592653589793
translation = (10., 10., 0.)

model = dict(
    data_preprocessor=dict(voxel_size=(0.5, 0.5, 0.5), max_voxels=None),
    point_backbone=_base_.pop('demo_backbone'),
    image_branch=_base_.pop('image_branch'),
    fusion=dict(embed_dims=96, num_heads=4, num_layers=2, ffn_channels=192),
    pose_head=dict(inlier_threshold=8.),
    loss_weights=dict(direction=1.),
    num_samples=256)

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=_base_.point_cloud_range),
    dict(type='RandomPlacement', yaw=yaw, translation=translation),
    dict(type='ResizeImages', size=_base_.image_size),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = train_pipeline[:5] + train_pipeline[-1:]  # nothing random but the placement
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
