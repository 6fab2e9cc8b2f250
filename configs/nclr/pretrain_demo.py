"""NCLR on the generated demo world: a small model that learns within minutes on a CPU."""
_base_ = ['./pretrain_skitti.py']

data_root = '{{$NCLR_DEMO_ROOT:data/demo}}'
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 5]
image_size = (320, 96)
yaw = 3.141592653589793
translation = (10., 10., 0.)

model = dict(
    data_preprocessor=dict(voxel_size=(0.5, 0.5, 0.5), max_voxels=None),
    # Three stages: with coarse voxels, a fourth would leave tokens of 8 m to fuse.
    point_backbone=dict(
        base_channels=16,
        encoder_channels=(32, 48, 64),
        encoder_blocks=(1, 1, 1),
        decoder_channels=(64, 48, 32),
        decoder_blocks=(1, 1, 1),
        scan_statistics=True),
    image_branch=dict(
        depth=18,
        base_channels=24,
        out_indices=(0, 1, 2),
        out_channels=64,
        norm_cfg=dict(type='GN', num_groups=8),
        weights=None),
    fusion=dict(embed_dims=96, num_heads=4, num_layers=2, ffn_channels=192),
    pose_head=dict(threshold=8.),
    loss_weights=dict(direction=1.),
    num_samples=256,
    num_outside=256)

train_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(type='RandomPlacement', yaw=yaw, translation=translation),
    dict(type='ResizeImages', size=image_size),
    dict(type='RandomSceneFlip', prob=0.5),
    dict(type='PackCalibrationInputs'),
]
test_pipeline = [
    dict(type='LoadScan'),
    dict(type='LoadImages'),
    dict(type='RangeCrop', point_cloud_range=point_cloud_range),
    dict(type='RandomPlacement', yaw=yaw, translation=translation),
    dict(type='ResizeImages', size=image_size),
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
