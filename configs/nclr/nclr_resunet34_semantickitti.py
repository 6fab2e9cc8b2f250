"""NCLR pretraining of ResUNet-34 on SemanticKITTI, 0.05 m voxels."""
_base_ = ['./nclr_minkunet34_semantickitti.py']
model = dict(point_backbone=dict(type='SplitResUNet'))
