"""NCLR pretraining of ResUNet-34 on nuScenes, six cameras, 0.1 m voxels."""
_base_ = ['./nclr_minkunet34_nuscenes.py']
model = dict(point_backbone=dict(type='SplitResUNet'))
