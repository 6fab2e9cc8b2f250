"""NCLR pretraining of ResUNet-18 on SemanticKITTI, 0.05 m voxels."""
_base_ = ['./nclr_minkunet34_semantickitti.py']
model = dict(point_backbone=dict(type='SplitResUNet', encoder_blocks=(2, 2, 2, 2)))
