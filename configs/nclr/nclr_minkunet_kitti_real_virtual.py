"""Real KITTI frames with virtual cameras, so that no scan tells where its camera looks.

Windows of 45 to 80 degrees, at first the wide ones only; evaluated on windows of 45 degrees. The
weights of either config may be tested with the other.
"""
_base_ = ['./nclr_minkunet_kitti_real.py']

# dataset settings
virtual = dict(type='VirtualCamera', size=(320, 96))
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform,
    dict(virtual, fov=(45., 80.), warm_up=8),
    *_base_.appearance, _base_.pack
]
test_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform,
    dict(virtual, fov=(45., 45.)), _base_.pack
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
