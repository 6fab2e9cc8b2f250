"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

The frames and the split are those of `configs/nclr/nclr_minkunet_kitti_small.py`;
`crossi2p_kitti_small_trained_on.py` evaluates the training frames.
"""
_base_ = ['./crossi2p_demo.py', '../_base_/datasets/kitti_small.py']

# dataset settings
train_pipeline = [
    *_base_.load, _base_.crop, _base_.rigid_transform, _base_.sample, *_base_.window, _base_.pack]
train_dataloader = dict(dataset=dict(_base_.train_frames, pipeline=train_pipeline))
val_dataloader = dict(dataset=_base_.val_frames)
test_dataloader = val_dataloader

# schedule
train_cfg = dict(max_iters=4000, val_interval=4000)
