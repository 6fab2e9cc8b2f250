"""The small KITTI configuration without windows, flips and colour jitter."""
_base_ = ['../nclr_minkunet_kitti_small.py']

train_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
