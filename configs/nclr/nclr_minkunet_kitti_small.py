"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

It trains on object frames of NCLR_KITTI_ROOT and a sequence of NCLR_SEMANTICKITTI_ROOT together.
Four object frames are left out for evaluation, each under 15 random transforms;
`nclr_minkunet_kitti_small_trained_on.py` evaluates the training frames.
"""
_base_ = ['./nclr_minkunet_demo_transfer.py', '../_base_/datasets/kitti_small.py']

# dataset settings
train_pipeline = [*_base_.load, _base_.crop, _base_.rigid_transform, *_base_.window, _base_.pack]
train_dataloader = dict(dataset=dict(_base_.train_frames, pipeline=train_pipeline))
val_dataloader = dict(dataset=_base_.val_frames)
test_dataloader = val_dataloader

# schedule
train_cfg = dict(max_iters=4000, val_interval=4000)
