"""The demo model on a few dozen real KITTI frames: what can be learned from them in minutes.

Object frames of NCLR_KITTI_ROOT and a sequence of NCLR_SKITTI_ROOT are trained on together; four
object frames are left out for the evaluation, each placed 15 times. NCLR_KITTI_TEST=trained_on
evaluates the others.
"""
_base_ = ['./pretrain_demo_transfer.py', '../_base_/kitti_small.py']

train_pipeline = _base_.train_pipeline[:-3] + _base_.pop('window')
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
_base_.merge(_base_.pop('small'))
