"""NCLR pretraining of CenterPoint's VoxelNet on nuScenes, six cameras, 0.1 x 0.1 x 0.2 m voxels.

The encoder, the voxels, the height of the range and the inputs are those of mmdet3d's
`centerpoint_voxel01`. It has intensities of 0..255 and a fifth channel, the time since the key
frame, which is 0 here: pretraining uses key frames only. The range keeps 88% of the points that the
cameras see in a real frame, 80% in the worst camera.
"""
_base_ = ['./nclr_voxelnet_nuscenes.py']

# model settings
model = dict(
    data_preprocessor=dict(voxel_size=(0.1, 0.1, 0.2)),
    point_backbone=dict(
        in_channels=5,
        intensity_scale=255.,
        encoder_channels=((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128)),
        encoder_paddings=((0, 0, 1), (0, 0, 1), (0, 0, (0, 1, 1)), (0, 0)),
        block_type='basicblock'))

# dataset settings
crop = dict(type='CropPoints', point_cloud_range=[-51.2, -51.2, -5, 51.2, 51.2, 3])
train_pipeline = [
    *_base_.load, crop, _base_.rigid_transform, _base_.resize, *_base_.augment, _base_.pack]
test_pipeline = [*_base_.load, crop, _base_.rigid_transform, _base_.resize, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
