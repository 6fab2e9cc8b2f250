"""MinkUNet-18 on nuScenes-lidarseg, 0.1 m voxels; see minkunet34_nuscenes.py."""
_base_ = ['./minkunet34_nuscenes.py']
model = dict(backbone=dict(encoder_blocks=[2, 2, 2, 2]))
