"""The demo model on the frames of `configs/nclr/nclr_minkunet_kitti_real.py`."""
_base_ = ['./crossi2p_demo.py', '../_base_/datasets/kitti_real.py']

# dataset settings
train_pipeline = [
    *_base_.load, _base_.real_crop, _base_.mix, _base_.rigid_transform, _base_.sample,
    *_base_.window, _base_.pack]
test_pipeline = [
    *_base_.load, _base_.real_crop, _base_.rigid_transform, _base_.sample, _base_.noise,
    _base_.resize, _base_.occlusion, _base_.pack]
train_dataloader = dict(dataset=dict(_base_.train_frames, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(_base_.val_frames, pipeline=test_pipeline))
test_dataloader = val_dataloader

# schedule
train_cfg = dict(max_iters=4000, val_interval=4000)
