"""CrossI2P on the generated demo world: a small model that learns on a CPU."""
_base_ = [
    '../_base_/models/crossi2p.py', '../_base_/datasets/skitti.py',
    '../_base_/schedules/adamw_cosine_30k.py', '../_base_/default_runtime.py'
]

data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 5]
image_size = (320, 96)
num_points = 2048
voxel_size = 0.3

model = dict(
    data_preprocessor=dict(voxel_size=(voxel_size, ) * 3),
    point_backbone=dict(channels=(32, 32, 64), out_channels=64, k=8, dynamic=False),
    image_branch=dict(
        depth=18,
        base_channels=24,
        out_indices=(0, 1, 2),
        out_channels=64,
        norm_cfg=dict(type='GN', num_groups=8),
        weights=None),
    transformer=dict(num_layers=2, ffn_channels=192),
    contrastive_head=dict(out_channels=64),
    pose_head=dict(threshold=8.),
    embed_dims=96,
    num_superpoints=192,
    radius=4.,
    group_size=16,
    num_candidates=3,
    patch_margin=4,
    num_samples=256)

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(
        type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera'),
    dict(type='SamplePoints', num_points=num_points, voxel_size=voxel_size),
    dict(type='ResizeImages', size=image_size),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(
        type='RandomPlacement', yaw=6.283185307179586, translation=(10., 0., 10.), axes='camera'),
    dict(type='SamplePoints', num_points=num_points, voxel_size=voxel_size),
    dict(type='PointNoise', deviation=0.),
    dict(type='ResizeImages', size=image_size),
    dict(type='ImageOcclusion', size=0),
    dict(type='PackCalibrationInputs'),
]
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_root=data_root,
        reader=dict(
            _delete_=True,
            type='KittiOdometryReader',
            sequences=['00', '01', '02', '03', '04', '05', '06', '07']),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        reader=dict(_delete_=True, type='KittiOdometryReader', sequences=['08']),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

# One sample a step.
train_cfg = dict(max_iters=8000, val_interval=8000)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
test_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='RegistrationMetric', protocols=['all_frames', 'corri2p_10_5']),
    dict(type='MatchingMetric'),
    dict(type='AlignmentMetric'),
    dict(type='OverlapMetric'),
]
