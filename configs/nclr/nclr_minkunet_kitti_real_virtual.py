"""nclr_minkunet_kitti_real.py, evaluated on windows of 45 degrees in place of whole images."""
_base_ = ['./nclr_minkunet_kitti_real.py']

# dataset settings
test_pipeline = [
    *_base_.load, _base_.real_crop, _base_.rigid_transform,
    dict(type='VirtualCamera', size=(320, 96), fov=(45., 45.)), _base_.pack
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
