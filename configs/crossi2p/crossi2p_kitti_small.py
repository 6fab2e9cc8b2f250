"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

The frames and their division are those of `configs/nclr/pretrain_kitti_small.py`.
"""
_base_ = ['./crossi2p_demo.py', '../_base_/kitti_small.py']

train_pipeline = _base_.train_pipeline[:-3] + _base_.pop('window')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
_base_.merge(_base_.pop('small'))
