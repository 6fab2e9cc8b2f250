"""The small KITTI configuration without random windows, flips and colours: placements alone."""
_base_ = ['../pretrain_kitti_small.py']

train_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
