"""The detectors' VoxelNet on the frames of nclr_minkunet_kitti_real.py."""
_base_ = ['./nclr_minkunet_kitti_real.py']

# model settings
model = dict(
    data_preprocessor=dict(voxel_size=(0.1, 0.1, 0.1), max_voxels=60000),
    point_backbone=dict(_delete_=True, **_base_.demo_voxelnet))

# dataset settings
crop = dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -3, 51.2, 51.2, 1])
train_pipeline = [
    *_base_.load, crop, _base_.rigid_transform, *_base_.virtual_camera, _base_.pack]
test_pipeline = [*_base_.load, crop, _base_.rigid_transform, _base_.resize, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# schedule
# Two to three seconds a step on one core.
train_cfg = dict(max_iters=1500, val_interval=1500)
