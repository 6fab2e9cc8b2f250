"""CrossI2P on the generated demo world: a small model that learns on a CPU."""
_base_ = ['../_base_/models/crossi2p.py', '../_base_/demo.py']

num_points = 8192  # nearly all: by a quarter of them the camera's direction is not found
voxel_size = 0.5

model = dict(
    data_preprocessor=dict(voxel_size=(voxel_size, ) * 3),
    point_backbone=dict(
        channels=(32, 32, 64),
        out_channels=64,
        k=8,
        dynamic=False,
        dilations=(1, 4, 16),
        # In units of 10 m: steps to a neighbour are small, and where in the scan a point is says
        # nothing.
        init_cfg=[
            dict(type='InputSpread', layer='layers.0.centre', spread=(None, None, 0.1, 0.3)),
            dict(type='InputSpread', layer='layers.0.edge', spread=(0.05, 0.05, 0.05, 0.3)),
        ]),
    image_branch=_base_.pop('image_branch'),
    transformer=dict(num_layers=2, ffn_channels=192),
    contrastive_head=dict(out_channels=64),
    pose_head=dict(inlier_threshold=8.),
    embed_dims=96,
    num_superpoints=192,
    radius=4.,
    group_size=16,
    top_k=3,
    patch_margin=4,
    num_samples=256,
    loss_balancer=dict(momentum=0.99))

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=_base_.point_cloud_range),
    dict(
        type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera'),
    dict(type='SamplePoints', num_points=num_points, voxel_size=voxel_size),
    dict(type='ResizeImages', size=_base_.image_size),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    *train_pipeline[:5],
    dict(type='PointNoise', deviation=0.),
    train_pipeline[5],
    dict(type='ImageOcclusion', size=0),
    train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
test_evaluator = _base_.test_evaluator
test_evaluator.insert(
    1, dict(type='RegistrationMetric', protocols=['all_frames', 'corri2p_10_5']))
default_hooks = dict(pose_loss_schedule=dict(type='PoseLossScheduleHook', begin=0.5, end=0.6))
