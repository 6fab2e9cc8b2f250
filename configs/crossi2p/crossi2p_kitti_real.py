"""The demo model on the frames of `configs/nclr/nclr_minkunet_kitti_real.py`."""
_base_ = ['./crossi2p_demo.py', '../_base_/datasets/kitti_real.py']

# dataset settings
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, _base_.sample, *_base_.window, _base_.pack]
train_dataloader = dict(dataset=dict(_base_.train_frames, pipeline=train_pipeline))
val_dataloader = dict(dataset=_base_.val_frames)
test_dataloader = val_dataloader

# schedule
train_cfg = dict(max_iters=4000, val_interval=4000)
