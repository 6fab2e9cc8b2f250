"""The detectors' VoxelNet on the generated demo world, for `configs/detection/second_demo.py`."""
_base_ = ['./pretrain_demo.py']
point_cloud_range = [-51.2, -51.2, -3, 51.2, 51.2, 1]
image_size = (320, 96)
yaw = 3.141592653589793
translation = (10., 10., 0.)

model = dict(
    data_preprocessor=dict(voxel_size=(0.1, 0.1, 0.1), max_voxels=60000),
    point_backbone=dict(
        _delete_=True, type='SplitSparseEncoder', in_channels=4, out_channels=32))

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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
